//! Failures in a row, as one process sees them.

use std::time::Instant;

use chrono::{DateTime, Utc};

use super::delivery::{FinishedAttempt, Streak};

/// Failures since the last success that are not recorded, and when that was, by whatever process.
///
/// The retry of a delivery that was refused before that success says something of the event, and nothing of the
/// endpoint: it does not count. Both times are those of the transactions that recorded them, by the clock of the
/// server.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    succeeded_at: Option<DateTime<Utc>>,
    /// This process has had a success and leased nothing since: the time of that success is not known yet. All other
    /// results were leased, and what is a retry among them was refused, before it was recorded.
    has_succeeded: bool,
    since: Option<Instant>,
    /// The first failure, recorded or not.
    first: Option<Instant>,
    unrecorded: i32,
}

impl Failures {
    /// A request has ended.
    pub(crate) fn count(&mut self, attempt: &FinishedAttempt, now: Instant) {
        if attempt.is_success() {
            self.has_succeeded = true;
            self.end();
        } else if !self.has_succeeded
            && attempt.first_failed_at.is_none_or(|first| Some(first) > self.succeeded_at)
        {
            self.since.get_or_insert(now);
            self.first.get_or_insert(now);
            self.unrecorded = self.unrecorded.saturating_add(1);
        }
    }

    /// This process has leased deliveries, and the last success was recorded at this time. If it is another one than
    /// before, failures so far are of no account.
    pub(crate) fn leased(&mut self, succeeded_at: Option<DateTime<Utc>>) {
        self.has_succeeded = false;
        if succeeded_at.is_some() && succeeded_at != self.succeeded_at {
            self.succeeded_at = succeeded_at;
            self.end();
        }
    }

    /// The failures that are to be recorded.
    pub(crate) fn streak(&self, now: Instant) -> Streak {
        let ago = |time: Option<Instant>| time.map(|time| now.duration_since(time)).unwrap_or_default();
        let (lasted, observed) = (ago(self.since), ago(self.first));
        Streak { failures: self.unrecorded, lasted, observed, succeeded_at: self.succeeded_at }
    }

    /// They are recorded. Now the endpoint's row knows since when there are only failures: another process may have a
    /// success next.
    pub(crate) fn recorded(&mut self) {
        self.since = None;
        self.unrecorded = 0;
    }

    fn end(&mut self) {
        self.recorded();
        self.first = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::event_fields::EventFields;

    fn attempt(error: Option<&str>, first_failed_at: Option<DateTime<Utc>>) -> FinishedAttempt {
        FinishedAttempt {
            position: 1,
            fence: 1,
            event_id: Uuid::nil(),
            failures: 0,
            first_failed_at,
            status: None,
            retry_after: None,
            latency: Duration::ZERO,
            error: error.map(str::to_owned),
            fields: EventFields::default(),
        }
    }

    fn refused(first_failed_at: Option<DateTime<Utc>>) -> FinishedAttempt {
        attempt(Some("status 500"), first_failed_at)
    }

    fn seen(failures: &Failures, now: Instant) -> (i32, u64) {
        let streak = failures.streak(now);
        (streak.failures, streak.lasted.as_secs())
    }

    /// By the clock of the server.
    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    #[test]
    fn a_streak_lasts_until_it_is_recorded_or_a_success() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let then = |seconds| start + Duration::from_secs(seconds);
        failures.count(&refused(None), then(0));
        failures.count(&refused(None), then(1));
        assert_eq!(seen(&failures, then(3)), (2, 3));
        failures.recorded();
        assert_eq!(seen(&failures, then(4)), (0, 0));
        assert_eq!(failures.streak(then(4)).observed.as_secs(), 4);
        failures.count(&refused(None), then(5));
        assert_eq!(seen(&failures, then(6)), (1, 1));
        failures.count(&attempt(None, None), then(7));
        assert_eq!(seen(&failures, then(8)), (0, 0));
        failures.leased(Some(at(7)));
        failures.count(&refused(None), then(9));
        assert_eq!(seen(&failures, then(10)), (1, 1));
        assert_eq!(failures.streak(then(10)).observed.as_secs(), 1);
    }

    #[test]
    fn a_success_that_a_lease_sees_ends_a_streak_once() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.leased(Some(at(4)));
        failures.count(&refused(None), now);
        failures.leased(Some(at(4)));
        failures.leased(None);
        assert_eq!(failures.streak(now).failures, 1, "it was before that, or its attempt is no longer kept");
        failures.leased(Some(at(6)));
        assert_eq!(failures.streak(now).failures, 0);
        failures.count(&refused(None), now);
        assert_eq!(failures.streak(now).succeeded_at, Some(at(6)));
        // The clock was set back.
        failures.leased(Some(at(5)));
        assert_eq!(failures.streak(now).failures, 0);
    }

    #[test]
    fn a_retry_counts_only_if_nothing_has_succeeded_since_its_first_failure() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.count(&refused(Some(at(1))), now);
        assert_eq!(failures.streak(now).failures, 1, "it is not known that anything ever succeeded");
        failures.leased(Some(at(6)));
        // One that was recorded in the same transaction as the success has the same time.
        for first_failed_at in [5, 6] {
            failures.count(&refused(Some(at(first_failed_at))), now);
        }
        assert_eq!(failures.streak(now).failures, 0);
        failures.count(&refused(Some(at(7))), now);
        failures.count(&refused(None), now);
        assert_eq!(failures.streak(now).failures, 2);
    }

    #[test]
    fn what_was_leased_before_a_success_does_not_count_after_it() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.leased(Some(at(1)));
        failures.count(&attempt(None, None), now);
        failures.count(&refused(Some(at(5))), now);
        failures.count(&refused(None), now);
        assert_eq!(failures.streak(now).failures, 0);
        failures.leased(Some(at(8)));
        failures.count(&refused(Some(at(5))), now);
        assert_eq!(failures.streak(now).failures, 0);
        failures.count(&refused(None), now);
        assert_eq!(failures.streak(now).failures, 1);
    }
}
