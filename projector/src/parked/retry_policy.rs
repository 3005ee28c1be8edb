//! When a parked event is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::pause;

/// When a parked event is tried again: after a pause that doubles with each attempt, plus up to 100 % jitter.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// `PARKED_ATTEMPTS`: how often an event is tried in total.
    pub attempts: usize,
    /// `PARKED_RETRY_FIRST_MS`: the pause after the first attempt, without jitter.
    pub retry_first: Duration,
    /// `PARKED_RETRY_MAX_MS`: the longest pause, without jitter.
    pub retry_max: Duration,
}

impl RetryPolicy {
    /// No event is due later than this from now on: see [`pause::latest_due_in`].
    pub(crate) fn latest_due_in(&self) -> Duration {
        pause::latest_due_in(self.retry_max)
    }

    /// The pause after this many attempts; none after the last.
    #[must_use]
    pub fn retry_in(&self, attempts: i32) -> Option<Duration> {
        let failed_before = usize::try_from(attempts).ok()?.checked_sub(1)?;
        ExponentialBuilder::new()
            .with_min_delay(self.retry_first)
            .with_max_delay(self.retry_max)
            .with_factor(2.0)
            .with_jitter()
            .with_max_times(self.attempts.saturating_sub(1))
            .build()
            .nth(failed_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_attempts_grow_and_end_after_the_last_one() {
        let policy = RetryPolicy {
            attempts: 6,
            retry_first: Duration::from_secs(10),
            retry_max: Duration::from_mins(1),
        };
        for (attempts, without_jitter) in (1..).zip([10, 20, 40, 60, 60]) {
            let pause = policy.retry_in(attempts).unwrap();
            let shortest = Duration::from_secs(without_jitter);
            assert!((shortest..=shortest * 2).contains(&pause), "{attempts}: {pause:?}");
        }
        assert_eq!(policy.retry_in(6), None);
        assert_eq!(policy.retry_in(i32::MAX), None);
        assert_eq!(RetryPolicy { attempts: 1, ..policy }.retry_in(1), None);
    }

    #[test]
    fn jitter_separates_events_that_failed_together() {
        let policy = RetryPolicy {
            attempts: 9,
            retry_first: Duration::from_hours(1),
            retry_max: Duration::from_hours(1),
        };
        assert_ne!(policy.retry_in(1), policy.retry_in(1));
    }
}
