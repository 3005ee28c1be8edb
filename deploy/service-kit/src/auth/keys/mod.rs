//! The keys that verify tokens: where they come from, and how long they count.
//!
//! One task fetches the key set every [`keeper::REFRESH_EVERY`], and when a token names a key that is not known. What
//! it cannot fetch or read changes nothing: the last good set counts for [`keeper::KEPT_FOR`].
//!
//! | File | Holds |
//! |---|---|
//! | `mod.rs` | the keys of now |
//! | `source`, `client` | a URL or a file; one HTTP request with limits |
//! | `keeper` | the task |
//! | `demand` | fetches for unknown keys |

mod client;
mod demand;
mod keeper;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use self::demand::Demand;
pub(super) use self::keeper::{Keeper, Reports};
pub(super) use self::source::Source;
use super::key_set::KeySet;

/// The longest time that a request waits for the key of its token.
const WAIT_LIMIT: Duration = Duration::from_millis(2_500);
/// Most requests that wait at once.
const WAITING_MAX: usize = 1_000;

/// Why it is not known whether a token's key exists: the token may be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyUnavailable {
    #[error("too many requests wait for its key")]
    TooManyWait,
    #[error("its key was not fetched in time")]
    TimedOut,
    #[error("its key cannot be fetched")]
    FetchFailed,
}

/// One version of the key set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeyVersion {
    /// Grows with each change; 0 before the first key.
    pub(super) generation: u64,
    pub(super) keys: KeySet,
}

/// The keys that verify tokens now.
pub(super) struct Keys {
    current: watch::Sender<Arc<KeyVersion>>,
    /// That of `current`; 0 while there is no key.
    generation: AtomicU64,
    demand: Demand,
    waiting: Semaphore,
}

impl Keys {
    fn new() -> Self {
        Self {
            current: watch::Sender::default(),
            generation: AtomicU64::new(0),
            demand: Demand::default(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// Changes with each change of the keys; `None` while there is no key.
    pub(super) fn generation(&self) -> Option<u64> {
        match self.generation.load(Ordering::Acquire) {
            0 => None,
            generation => Some(generation),
        }
    }

    pub(super) fn current(&self) -> Arc<KeyVersion> {
        Arc::clone(&self.current.borrow())
    }

    /// Changes with the keys.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<KeyVersion>> {
        self.current.subscribe()
    }

    /// The keys once they have `kid`. Fetches them for it, or waits for a fetch that runs. They are without it if they
    /// were fetched and do not have it, or were fetched for another one too recently.
    pub(super) async fn fetch_for(&self, kid: &str) -> Result<Arc<KeyVersion>, KeyUnavailable> {
        let _permit = self.waiting.try_acquire().map_err(|_| KeyUnavailable::TooManyWait)?;
        let found = async {
            loop {
                let fetch = self.demand.join();
                // After joining: a fetch that ended before has left its keys.
                let current = self.current();
                if current.keys.find(kid).is_some() {
                    return Ok(current);
                }
                let has_failed = match fetch {
                    None if !self.demand.has_failed() => return Ok(current),
                    None => true,
                    Some(mut fetch) => fetch.changed().await.is_err() || fetch.borrow().has_failed,
                };
                if has_failed {
                    return Err(KeyUnavailable::FetchFailed);
                }
            }
        };
        tokio::time::timeout(WAIT_LIMIT, found).await.unwrap_or(Err(KeyUnavailable::TimedOut))
    }

    /// Uses these keys from now on. Whether they differ from those before.
    fn replace(&self, keys: KeySet) -> bool {
        let changed = self.current.send_if_modified(|current| {
            let has_changed = current.keys != keys;
            if has_changed {
                let generation = current.generation.saturating_add(1);
                *current = Arc::new(KeyVersion { generation, keys });
            }
            has_changed
        });
        if changed {
            let current = self.current();
            let generation = if current.keys.is_empty() { 0 } else { current.generation };
            self.generation.store(generation, Ordering::Release);
        }
        changed
    }
}
