//! When a failed delivery is tried again, and when an endpoint is given up.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};

/// The pauses and limits of deliveries. Not settings of the environment: receivers rely on them.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryPolicy {
    /// The pause after the first failure of a delivery, without jitter. It doubles with each failure.
    pub retry_first: Duration,
    /// The longest pause, without jitter; also the most that is accepted of a `Retry-After`.
    pub retry_max: Duration,
    /// After this many failures in a row, one delivery at a time is tried: a probe.
    pub failures_until_probes: i32,
    /// The pause after the first probe, without jitter. It doubles with each probe.
    pub probe_first: Duration,
    /// The longest pause between two probes, without jitter.
    pub probe_max: Duration,
    /// A delivery that has been refused for this long is parked, if others succeed. If nothing has succeeded for this
    /// long, the endpoint is paused.
    pub give_up_after: Duration,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            retry_first: Duration::from_secs(5),
            retry_max: Duration::from_hours(1),
            failures_until_probes: 10,
            probe_first: Duration::from_secs(1),
            probe_max: Duration::from_mins(1),
            give_up_after: Duration::from_hours(72),
        }
    }
}

impl DeliveryPolicy {
    /// The pause of a delivery that has failed this many times. `retry_after` makes it longer, not shorter.
    pub(crate) fn retry_in(&self, failures: i32, retry_after: Option<Duration>) -> Duration {
        let pause = backoff(self.retry_first, self.retry_max, failures);
        pause.max(retry_after.unwrap_or_default().min(self.retry_max))
    }

    /// The pause of an endpoint at which this many requests in a row have failed; none while there are few.
    pub(crate) fn endpoint_pause(
        &self,
        failures_in_a_row: i32,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let probes = failures_in_a_row.saturating_sub(self.failures_until_probes);
        let between_probes =
            (probes >= 0).then(|| backoff(self.probe_first, self.probe_max, probes.saturating_add(1)));
        between_probes.max(retry_after.map(|pause| pause.min(self.retry_max)))
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
        assert_eq!(policy.endpoint_pause(1, Some(SECOND * 1_000_000)), Some(SECOND * 3_600));
    }

    #[test]
    fn an_endpoint_pauses_after_many_failures_in_a_row() {
        let policy = DeliveryPolicy::default();
        assert_eq!(policy.endpoint_pause(9, None), None);
        for (failures, seconds) in [(10, 1), (11, 2), (12, 4), (16, 60), (i32::MAX, 60)] {
            let pause = policy.endpoint_pause(failures, None).unwrap();
            assert!((SECOND * seconds..=SECOND * seconds * 2).contains(&pause), "{failures}: {pause:?}");
        }
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
