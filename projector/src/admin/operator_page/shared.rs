//! Results that all open pages share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use service_kit::problem::Problem;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// For how long a result is used again.
const FRESH: Duration = Duration::from_secs(1);

/// The most results that are kept: further queries wait until one of them is no longer used.
const KEPT_MAX: usize = 16;

type Body = Result<Arc<str>, Problem>;

/// At most one query runs at a time. In a second at most one runs for the same key, and [`KEPT_MAX`] for all keys.
pub(super) struct Shared<K>(Mutex<BTreeMap<K, (Instant, Body)>>);

impl<K> Default for Shared<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord> Shared<K> {
    /// The result of the last second, or else that of `query`. Failures are shared too.
    pub(super) async fn get(&self, key: K, query: impl Future<Output = Result<String, Problem>>) -> Body {
        let mut kept = self.0.lock().await;
        if let Some((at, body)) = kept.get(&key)
            && at.elapsed() < FRESH
        {
            return body.clone();
        }
        kept.retain(|_, (at, _)| at.elapsed() < FRESH);
        if kept.len() >= KEPT_MAX
            && let Some(oldest) = kept.values().map(|(at, _)| *at).min()
        {
            tokio::time::sleep_until(oldest + FRESH).await;
            kept.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        let body = query.await.map(Arc::from);
        kept.insert(key, (Instant::now(), body.clone()));
        body
    }

    /// The next result is a new one.
    pub(super) async fn forget(&self) {
        self.0.lock().await.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn pages_share_one_query_and_an_action_makes_the_next_one_new() {
        let (shared, queries) = (Shared::default(), AtomicUsize::new(0));
        let get = |key: u8| {
            let query = async {
                tokio::task::yield_now().await;
                Ok(queries.fetch_add(1, Ordering::SeqCst).to_string())
            };
            shared.get(key, query)
        };
        let bodies = join_all((0..100).map(|_| get(0))).await;
        assert!(bodies.iter().all(|body| body.as_deref() == Ok("0")), "{bodies:?}");
        assert_eq!(get(1).await.as_deref(), Ok("1"));
        shared.forget().await;
        assert_eq!(get(0).await.as_deref(), Ok("2"));
        let start = Instant::now();
        join_all((0..40).map(get)).await;
        // 16 at once, 16 a second later, and the rest after another one.
        assert!(start.elapsed() > FRESH + FRESH / 2, "{:?}", start.elapsed());
        assert!(shared.0.lock().await.len() <= KEPT_MAX);
    }
}
