//! When a failed delivery is tried again, and when an endpoint is given up.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};

/// After this many failures in a row, an endpoint counts as failing.
pub const FAILURES_UNTIL_PROBES: i32 = 10;

/// The pauses and limits of deliveries. Not settings of the environment: receivers rely on them.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryPolicy {
    /// The pause after the first failure of a delivery, without jitter. It doubles with each failure.
    pub retry_first: Duration,
    /// The longest pause, without jitter; also the most that is accepted of a `Retry-After`.
    pub retry_max: Duration,
    /// Failures are recorded on the endpoint once nothing has succeeded for this long.
    pub streak_after: Duration,
    /// After this many failures in a row, one delivery at a time is tried: a probe.
    pub failures_until_probes: i32,
    /// The longest pause between two probes, without jitter. The first ones are shorter: a thirtieth of the time since
    /// something succeeded.
    pub probe_max: Duration,
    /// If nothing has succeeded for this long, and many requests failed, it was an outage: no event is given up
    /// because of what happened before its end.
    pub outage_after: Duration,
    /// When a delivery is parked, if others succeed, and when the endpoint is paused, if nothing has succeeded.
    pub give_up: GiveUp,
    /// When a delivery is parked of an endpoint at which so many wait that there is no room for new ones.
    pub give_up_crowded: GiveUp,
}

/// When something is given up.
#[derive(Debug, Clone, Copy)]
pub struct GiveUp {
    /// It has failed for this long,
    pub after: Duration,
    /// and this often. A clock that jumps ahead makes any time long, but not many attempts: their pauses do not
    /// depend on it.
    pub failures: i32,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            retry_first: Duration::from_secs(5),
            retry_max: Duration::from_hours(1),
            streak_after: Duration::from_secs(1),
            failures_until_probes: FAILURES_UNTIL_PROBES,
            probe_max: Duration::from_mins(1),
            outage_after: Duration::from_hours(1),
            // Twenty attempts take at least ten hours. In three days there are more than forty.
            give_up: GiveUp { after: Duration::from_hours(72), failures: 20 },
            // Eight attempts take at least ten minutes, and at most an hour and a quarter.
            give_up_crowded: GiveUp { after: Duration::from_hours(1), failures: 8 },
        }
    }
}

impl DeliveryPolicy {
    /// The pause of a delivery that has failed this many times. `retry_after` makes it longer, not shorter.
    pub(crate) fn retry_in(&self, failures: i32, retry_after: Option<Duration>) -> Duration {
        let pause = backoff(self.retry_first, self.retry_max, failures);
        pause.max(retry_after.unwrap_or_default().min(self.retry_max))
    }
}

/// `first`, doubled after each failure but the first, up to `max`, plus up to 100 % jitter.
fn backoff(first: Duration, max: Duration, failures: i32) -> Duration {
    let earlier = usize::try_from(failures.saturating_sub(1)).unwrap_or_default();
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(max)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build();
    // After 40 doublings every pause is the longest one.
    pauses.nth(earlier.min(40)).unwrap_or(max)
}

/// The pause that a `Retry-After` asks for: seconds, or a date. None if it cannot be read.
pub(crate) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    // A date in the past asks for no pause.
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest() {
        let policy = DeliveryPolicy::default();
        for (failures, seconds) in [(1, 5), (2, 10), (3, 20), (10, 2_560), (11, 3_600), (i32::MAX, 3_600)] {
            let pause = policy.retry_in(failures, None);
            assert!((SECOND * seconds..=SECOND * seconds * 2).contains(&pause), "{failures}: {pause:?}");
        }
    }

    #[test]
    fn a_retry_after_lengthens_the_pause_up_to_the_longest() {
        let policy = DeliveryPolicy::default();
        assert_eq!(policy.retry_in(1, Some(SECOND * 90)), SECOND * 90);
        assert!(policy.retry_in(1, Some(SECOND)) >= SECOND * 5);
        assert_eq!(policy.retry_in(1, Some(SECOND * 1_000_000)), SECOND * 3_600);
    }

    /// Twenty failures: nineteen pauses. The shortest ones have no jitter, the longest ones are twice as long.
    #[test]
    fn the_attempts_that_giving_up_needs_take_hours_and_fit_into_its_time() {
        let policy = DeliveryPolicy::default();
        let shortest = |attempts: u32| {
            let pause = |failures: u32| (policy.retry_first * 2_u32.pow(failures - 1)).min(policy.retry_max);
            (1..attempts).map(|failures| pause(failures.min(12))).sum::<Duration>()
        };
        let hours = |duration: Duration| duration.as_secs() / 3_600;
        assert_eq!(hours(shortest(20)), 10);
        assert_eq!(hours(shortest(20) * 2), 20, "before the three days are over");
        assert_eq!((shortest(8).as_secs() / 60, (shortest(8) * 2).as_secs() / 60), (10, 21));
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(1_445_412_420, 0).unwrap();
        assert_eq!(retry_after("120", now), Some(SECOND * 120));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(SECOND * 60));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:26:00 GMT", now), Some(Duration::ZERO), "it has passed");
        for unreadable in ["", "soon", "-1", "1.5", "99999999999999999999"] {
            assert_eq!(retry_after(unreadable, now), None, "{unreadable}");
        }
    }
}
