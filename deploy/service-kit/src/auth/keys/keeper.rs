//! The task that keeps the keys up to date.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use metrics::{Counter, Gauge};
use tokio::time::Instant;

use super::source::{FetchError, Source};
use super::{Keys, demand};
use crate::auth::key_set::{KeySet, KeySetError, LeftOut, Parsed};
use crate::health::Condition;
use crate::telemetry::chain;

/// The time between two fetches.
pub(super) const REFRESH_EVERY: Duration = Duration::from_mins(5);
/// How long the last good key set counts.
pub(super) const KEPT_FOR: Duration = Duration::from_hours(24);
/// The pause after a failed fetch, while there are keys.
pub(super) const RETRY_AFTER: Duration = demand::ON_DEMAND_PAUSE;
/// The first pause after a failed fetch without any key; each further one is twice as long, up to [`RETRY_AFTER`].
const FIRST_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The largest part of a pause that is left out at random, so that processes do not all fetch at once.
const JITTER: f64 = 0.1;
/// How often the age of the keys is checked.
const AGE_EVERY: Duration = Duration::from_secs(1);

/// What the keeper reports.
pub(in crate::auth) struct Reports {
    /// Whether there is a key.
    pub(in crate::auth) has_keys: Condition,
    /// Seconds since the last good fetch; since the start before the first.
    pub(in crate::auth) age_seconds: Gauge,
    /// Fetches that gave no usable key.
    pub(in crate::auth) fetch_failures: Counter,
}

/// Why a fetch gave no key.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error("the key set cannot be fetched")]
    Fetch(#[from] FetchError),
    #[error("the document cannot be used")]
    Document(#[from] KeySetError),
    #[error("the key set has no usable key")]
    NoUsableKey,
}

/// Fetches the keys, and removes them when they are too old.
pub(in crate::auth) struct Keeper {
    source: Source,
    algorithms: Vec<Algorithm>,
    keys: Arc<Keys>,
    reports: Reports,
    /// Runs after each change of the keys.
    on_change: Box<dyn Fn() + Send + Sync>,
    /// The last good fetch, or the start.
    last_good: Mutex<Instant>,
    /// A random number from 0 to 1.
    pub(super) random: fn() -> f64,
}

impl Keeper {
    /// The keeper, and the keys that it keeps. There are none before [`Self::run`].
    pub(in crate::auth) fn new(
        source: Source,
        algorithms: Vec<Algorithm>,
        reports: Reports,
        on_change: impl Fn() + Send + Sync + 'static,
    ) -> (Self, Arc<Keys>) {
        let keys = Arc::new(Keys::new());
        let keeper = Self {
            source,
            algorithms,
            keys: Arc::clone(&keys),
            reports,
            on_change: Box::new(on_change),
            last_good: Mutex::new(Instant::now()),
            random: fastrand::f64,
        };
        (keeper, keys)
    }

    /// Runs until dropped.
    pub(in crate::auth) async fn run(self) {
        tokio::select! {
            () = self.keep_fetching() => {}
            () = self.keep_checking_the_age() => {}
        }
    }

    async fn keep_fetching(&self) {
        let mut left_out = Vec::new();
        let mut next_retry = FIRST_RETRY_AFTER;
        loop {
            let pause = match self.refresh(&mut left_out).await {
                Ok(()) => {
                    next_retry = FIRST_RETRY_AFTER;
                    REFRESH_EVERY
                }
                Err(error) => {
                    self.reports.fetch_failures.increment(1);
                    let (source, age) = (self.source.name(), self.age().as_secs());
                    tracing::warn!(
                        source,
                        keys.age_s = age,
                        error = chain(&error),
                        "no new keys for access tokens"
                    );
                    let has_keys = self.keys.generation().is_some();
                    let retry = if has_keys { RETRY_AFTER } else { next_retry };
                    next_retry = (next_retry * 2).min(RETRY_AFTER);
                    retry
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(1.0 - JITTER * (self.random)())) => {}
                () = self.keys.demand.wanted() => {}
            }
        }
    }

    /// Fetches once. `warned` has the keys whose warning is in the log.
    async fn refresh(&self, warned: &mut Vec<LeftOut>) -> Result<(), RefreshError> {
        self.keys.demand.begin();
        let fetched = self.source.fetch().await;
        let used =
            fetched.map_err(RefreshError::from).and_then(|document| self.use_document(&document, warned));
        self.keys.demand.end(used.is_err());
        used
    }

    fn use_document(&self, document: &[u8], warned: &mut Vec<LeftOut>) -> Result<(), RefreshError> {
        let Parsed { keys, left_out, withdrawn, published } = KeySet::parse(document, &self.algorithms)?;
        if *warned != left_out {
            for LeftOut { kid, why } in &left_out {
                tracing::warn!(kid, %why, "a key for access tokens is left out");
            }
            *warned = left_out;
        }
        if keys.is_empty() {
            // Only a key that the issuer no longer stands for goes.
            let mut kept = self.keys.current().keys.clone();
            kept.remove(&withdrawn, &published);
            self.replace(kept);
            return Err(RefreshError::NoUsableKey);
        }
        *self.last_good() = Instant::now();
        self.replace(keys);
        Ok(())
    }

    async fn keep_checking_the_age(&self) {
        loop {
            self.check_the_age();
            tokio::time::sleep(AGE_EVERY).await;
        }
    }

    fn check_the_age(&self) {
        let age = self.age();
        self.reports.age_seconds.set(age.as_secs_f64());
        if age > KEPT_FOR && self.keys.generation().is_some() {
            tracing::error!(
                "the keys for access tokens are too old; no token is accepted until there are new ones"
            );
            self.replace(KeySet::default());
        }
    }

    fn replace(&self, keys: KeySet) {
        let count = keys.len();
        if self.keys.replace(keys) {
            tracing::info!(keys = count, "the keys for access tokens have changed");
            self.reports.has_keys.set(count > 0);
            (self.on_change)();
        }
    }

    fn age(&self) -> Duration {
        self.last_good().elapsed()
    }

    fn last_good(&self) -> MutexGuard<'_, Instant> {
        // No code that holds the lock can panic.
        self.last_good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
