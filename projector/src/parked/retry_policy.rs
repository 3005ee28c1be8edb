//! When a parked event is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// When a parked event is tried again: after a pause that doubles with each attempt, plus jitter of up to as much again.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// How often an event is tried in all.
    pub attempts: usize,
    /// The pause after the first attempt, without jitter.
    pub first: Duration,
    /// The longest pause, without jitter.
    pub longest: Duration,
}

impl RetryPolicy {
    /// How long to wait after this many attempts; nothing when they were the last.
    #[must_use]
    pub fn wait_after(&self, attempts: i32) -> Option<Duration> {
        let failed_before = usize::try_from(attempts).ok()?.checked_sub(1)?;
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
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
    fn a_parked_event_waits_longer_each_time_and_is_given_up_after_the_last_attempt() {
        let policy =
            RetryPolicy { attempts: 6, first: Duration::from_secs(10), longest: Duration::from_mins(1) };
        for (attempts, without_jitter) in (1..).zip([10, 20, 40, 60, 60]) {
            let wait = policy.wait_after(attempts).unwrap();
            let shortest = Duration::from_secs(without_jitter);
            assert!((shortest..=shortest * 2).contains(&wait), "{attempts}: {wait:?}");
        }
        assert_eq!(policy.wait_after(6), None);
        assert_eq!(policy.wait_after(i32::MAX), None);
        assert_eq!(RetryPolicy { attempts: 1, ..policy }.wait_after(1), None);
    }

    #[test]
    fn two_events_that_failed_together_are_not_tried_again_at_the_same_moment() {
        let policy =
            RetryPolicy { attempts: 9, first: Duration::from_hours(1), longest: Duration::from_hours(1) };
        assert_ne!(policy.wait_after(1), policy.wait_after(1));
    }
}
