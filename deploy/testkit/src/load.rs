//! Requests in the background while a test changes the system, with the times of their failures.

use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio_util::sync::CancellationToken;

use crate::wait;

/// Limit for further successes.
const SOON: Duration = Duration::from_secs(30);

/// Requests that run until this is dropped.
#[derive(Debug)]
pub struct Load {
    outcomes: Arc<Outcomes>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Outcomes {
    succeeded: AtomicU64,
    failures: Mutex<Vec<(Instant, String)>>,
}

impl Load {
    /// Each client sends one request after the other.
    pub fn start<C, F>(clients: impl IntoIterator<Item = C>) -> Self
    where
        C: Fn() -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send,
    {
        let (outcomes, stop) = (Arc::<Outcomes>::default(), CancellationToken::new());
        for client in clients {
            let outcomes = Arc::clone(&outcomes);
            tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                loop {
                    outcomes.record(client().await);
                }
            }));
        }
        Self { outcomes, stop }
    }

    /// The number of successful requests.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.outcomes.succeeded.load(Ordering::Relaxed)
    }

    /// Waits for `more` further successes.
    ///
    /// # Errors
    ///
    /// If they do not come, with the last failure.
    pub async fn until_more(&self, more: u64) -> Result<()> {
        let expected = self.succeeded() + more;
        wait::until("requests to succeed", SOON, || async {
            if self.succeeded() >= expected { Ok(()) } else { Err(self.outcomes.failures().last().cloned()) }
        })
        .await?;
        Ok(())
    }

    /// Checks that requests failed only during a change, when they may time out on its lock, or within a second after
    /// it.
    ///
    /// # Errors
    ///
    /// If a request failed at another time.
    pub fn check(&self, changes: &[Range<Instant>]) -> Result<()> {
        let failures = self.outcomes.failures();
        let is_late = |at: &Instant| {
            changes.iter().all(|change| *at < change.start || *at > change.end + Duration::from_secs(1))
        };
        let late: Vec<_> = failures.iter().filter(|(at, _)| is_late(at)).collect();
        ensure!(late.is_empty(), "{} failures, the first: {:?}", late.len(), late.first());
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Outcomes {
    fn record(&self, outcome: Result<()>) {
        match outcome {
            Ok(()) => {
                self.succeeded.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.failures().push((Instant::now(), format!("{error:#}"))),
        }
    }

    fn failures(&self) -> MutexGuard<'_, Vec<(Instant, String)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
