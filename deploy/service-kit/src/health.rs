//! Whether the process is ready for traffic.
//!
//! The process records its own successes, and the probe only reads them. If the probe queried the database, one locked
//! table would make all replicas unready at once.

mod condition;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

pub use self::condition::Condition;
use self::condition::Conditions;
use crate::config::{self, ConfigError, Vars, in_range};

/// The `READINESS_*` variables.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct HealthConfig {
    /// `READINESS_GRACE_MS`: how long a process stays ready without a success, 1 to 600 000. Default 10 000.
    #[serde(default = "default_grace_ms")]
    grace_ms: u64,
}

const fn default_grace_ms() -> u64 {
    10_000
}

impl HealthConfig {
    /// Reads and checks `READINESS_GRACE_MS`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let config: Self = config::read("READINESS_", vars)?;
        in_range("READINESS_GRACE_MS", &config.grace_ms, &(1..=600_000))?;
        Ok(config)
    }

    /// How long a process stays ready without a success.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

/// Why the process should get no traffic. The text is public: it must not contain secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub Cow<'static, str>);

/// The health of the process. It is ready if it has succeeded recently, has no lasting fault, meets all conditions and
/// is not stopping.
#[derive(Clone)]
pub struct Health {
    stop: CancellationToken,
    record: Arc<Record>,
}

struct Record {
    grace: Duration,
    epoch: Instant,
    /// Milliseconds from `epoch` to the last success, plus one; 0 before the first.
    last_success: AtomicU64,
    fault: Mutex<Fault>,
    conditions: Conditions,
}

#[derive(Default)]
struct Fault {
    reason: Option<NotReady>,
    /// It needs an operator.
    is_lasting: bool,
}

impl Health {
    /// Not ready before the first [`Self::succeeded`], nor after `stop` is cancelled.
    #[must_use]
    pub fn new(config: HealthConfig, stop: CancellationToken) -> Self {
        Self::with_grace(config.grace(), stop)
    }

    /// As [`Self::new`]; stays ready for `grace` without a success.
    #[must_use]
    pub fn with_grace(grace: Duration, stop: CancellationToken) -> Self {
        let record = Record {
            grace,
            epoch: Instant::now(),
            last_success: AtomicU64::new(0),
            fault: Mutex::default(),
            conditions: Conditions::default(),
        };
        Self { stop, record: Arc::new(record) }
    }

    /// Records that the process has just done some of its work.
    pub fn succeeded(&self) {
        let elapsed = self.record.epoch.elapsed().as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.record.last_success.store(elapsed.saturating_add(1), Ordering::Relaxed);
    }

    /// Records a fault. A lasting one turns readiness off at once, until [`Self::clear_fault`]; a later temporary
    /// one does not replace it.
    pub fn report_fault(&self, reason: impl Into<Cow<'static, str>>, is_lasting: bool) {
        let mut fault = self.fault();
        if is_lasting || !fault.is_lasting {
            *fault = Fault { reason: Some(NotReady(reason.into())), is_lasting };
        }
    }

    /// Removes the fault.
    pub fn clear_fault(&self) {
        *self.fault() = Fault::default();
    }

    /// Adds a condition, which is not met yet. While it is not, the process is not ready, and `reason` says why.
    #[must_use]
    pub fn add_condition(&self, reason: &'static str) -> Condition {
        self.record.conditions.add(reason)
    }

    /// Whether the process should get traffic now. Only reads the records.
    ///
    /// # Errors
    ///
    /// [`NotReady`] with the reason.
    pub fn ready(&self) -> Result<(), NotReady> {
        if self.stop.is_cancelled() {
            return Err(NotReady("The process is stopping.".into()));
        }
        let is_recent = self.since_last_success().is_some_and(|since| since <= self.record.grace);
        let fault = self.fault();
        if is_recent && !fault.is_lasting {
            return self.record.conditions.check();
        }
        let unknown = || NotReady("The process has had no success recently.".into());
        Err(fault.reason.clone().unwrap_or_else(unknown))
    }

    /// How long the process stays ready without a success.
    pub(crate) fn grace(&self) -> Duration {
        self.record.grace
    }

    /// Completes when the stop begins.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether [`Self::succeeded`] has been called.
    pub(crate) fn has_succeeded(&self) -> bool {
        self.since_last_success().is_some()
    }

    fn since_last_success(&self) -> Option<Duration> {
        let last = self.record.last_success.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.record.epoch.elapsed().saturating_sub(Duration::from_millis(last)))
    }

    fn fault(&self) -> MutexGuard<'_, Fault> {
        // No code that holds the lock can panic.
        self.record.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(grace_ms: u64) -> (Health, CancellationToken) {
        let stop = CancellationToken::new();
        (Health::with_grace(Duration::from_millis(grace_ms), stop.clone()), stop)
    }

    #[test]
    fn it_is_not_ready_before_the_first_success_and_after_the_stop() {
        let (health, stop) = health(60_000);
        assert!(health.ready().is_err());
        health.succeeded();
        assert_eq!(health.ready(), Ok(()));
        stop.cancel();
        assert_eq!(health.ready(), Err(NotReady("The process is stopping.".into())));
    }

    #[test]
    fn it_stays_ready_for_the_grace_and_then_names_the_fault() {
        let (health, _stop) = health(1);
        health.succeeded();
        health.report_fault("The database cannot be used.", false);
        while health.ready().is_ok() {}
        assert_eq!(health.ready(), Err(NotReady("The database cannot be used.".into())));
        health.succeeded();
        health.clear_fault();
        let (health, _stop) = self::health(60_000);
        health.succeeded();
        health.report_fault("The database cannot be used.", false);
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_lasting_fault_turns_readiness_off_at_once_despite_successes() {
        let (health, _stop) = health(60_000);
        health.report_fault("The encoding is wrong.", true);
        health.succeeded();
        assert_eq!(health.ready(), Err(NotReady("The encoding is wrong.".into())));
        health.report_fault("The database cannot be used.", false);
        assert_eq!(health.ready(), Err(NotReady("The encoding is wrong.".into())));
        health.clear_fault();
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_condition_that_is_not_met_turns_readiness_off_despite_successes() {
        let (health, _stop) = health(60_000);
        let keys = health.add_condition("There are no keys.");
        health.succeeded();
        health.clear_fault();
        assert_eq!(health.ready(), Err(NotReady("There are no keys.".into())));
        keys.set(true);
        assert_eq!(health.ready(), Ok(()));
        keys.set(false);
        health.succeeded();
        assert_eq!(health.ready(), Err(NotReady("There are no keys.".into())));
    }

    #[test]
    fn the_grace_is_checked_and_named() {
        let grace =
            |value: &str| HealthConfig::from_vars(&vec![("READINESS_GRACE_MS".to_owned(), value.to_owned())]);
        assert_eq!(HealthConfig::from_vars(&Vec::new()).unwrap().grace(), Duration::from_secs(10));
        assert_eq!(grace("250").unwrap().grace(), Duration::from_millis(250));
        for value in ["0", "600001", "long"] {
            let error = grace(value).unwrap_err().to_string();
            assert!(error.contains("READINESS_GRACE_MS"), "{error}");
        }
    }
}
