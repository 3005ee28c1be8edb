//! Whether the process is ready for traffic.
//!
//! The process records its own successes, and the probe only reads them. If the probe queried the database, one locked
//! table would make all replicas unready at once.

mod condition;
mod config;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

pub use self::condition::Condition;
use self::condition::Conditions;
pub use self::config::HealthConfig;

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
    last_failure: Mutex<Option<Failure>>,
    fault: Mutex<Fault>,
    conditions: Conditions,
}

struct Failure {
    at: Instant,
    reason: &'static str,
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
            last_failure: Mutex::default(),
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

    /// Records that some of its work has just failed. The reason is public; it is shown once there was no success for
    /// the grace, unless a success came later.
    pub fn failed(&self, reason: &'static str) {
        let failure = Failure { at: Instant::now(), reason };
        *self.record.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
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
        Err(fault.reason.clone().unwrap_or_else(|| self.no_success()))
    }

    fn no_success(&self) -> NotReady {
        const TEXT: &str = "The process has had no success recently.";
        let failure = self.record.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newer =
            |failure: &&Failure| self.since_last_success().is_none_or(|since| failure.at.elapsed() < since);
        NotReady(
            failure
                .as_ref()
                .filter(is_newer)
                .map_or(TEXT.into(), |Failure { reason, .. }| format!("{TEXT} {reason}").into()),
        )
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
    fn without_a_success_it_names_the_last_failure_unless_a_success_came_later() {
        let (health, _stop) = health(1);
        let no_success = |failure: &str| {
            Err(NotReady(format!("The process has had no success recently.{failure}").into()))
        };
        assert_eq!(health.ready(), no_success(""));
        health.failed("PostgreSQL cannot be reached.");
        assert_eq!(health.ready(), no_success(" PostgreSQL cannot be reached."));
        while health.record.epoch.elapsed() < Duration::from_millis(2) {}
        health.succeeded();
        while health.ready().is_ok() {}
        assert_eq!(health.ready(), no_success(""));
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
}
