//! How long the loops pause: while events arrive, after an empty poll, after a failure, and while events wait for
//! locks.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The pause after an empty poll while events arrive. Tokio's timer rounds it up to the next millisecond.
const SHORTEST_IDLE_PAUSE: Duration = Duration::from_micros(200);
/// Idle pause = time since the last event / 64. So an event waits at most about 1/64 of the gap before it, and a quiet
/// outbox is polled less and less often.
const IDLE_DIVISOR: u32 = 64;
/// Most of the cost of a small batch does not depend on its size. After a batch with at least this many events, a
/// worker that keeps up pauses for `PAUSE_PER_BATCH` times as long as the batch took. The next batch is larger and a
/// few milliseconds later, and leaves more of the machine to writers and readers. With fewer events a pause gains
/// nothing.
const MANY_EVENTS: usize = 10;
const PAUSE_PER_BATCH: u32 = 3;
const LONGEST_BUSY_PAUSE: Duration = Duration::from_millis(5);
/// The first and the longest pause after a failure, without jitter. Batches succeed again within two seconds of the
/// database's return.
const SHORTEST_OUTAGE_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_millis(500);

/// Locked rows are tried again after as long as they have been locked so far, between [`SHORTEST_WAITING_PAUSE`] and
/// [`LONGEST_WAITING_PAUSE`].
const SHORTEST_WAITING_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_WAITING_PAUSE: Duration = Duration::from_millis(200);
/// After a long attempt the pause is longer: this many times the attempt, at most
/// [`LONGEST_PAUSE_AFTER_A_LONG_ATTEMPT`].
const WAITING_PAUSE_PER_ATTEMPT: u32 = 8;
const LONGEST_PAUSE_AFTER_A_LONG_ATTEMPT: Duration = Duration::from_millis(600);

/// The clock of another session, or of the moment before, may be this much ahead.
const CLOCK_MARGIN: Duration = Duration::from_mins(1);

/// Nothing that pauses for up to `longest`, plus up to 100 % jitter, is due later than this from now on. If a stored
/// time is, the clock was ahead when it was stored, and was corrected since: then it counts as due.
pub(crate) fn latest_due_in(longest: Duration) -> Duration {
    longest.saturating_mul(2).saturating_add(CLOCK_MARGIN)
}

/// How long an idle worker pauses if the last event arrived `since` ago.
pub(crate) fn idle(since: Duration, poll_max: Duration) -> Duration {
    (since / IDLE_DIVISOR).max(SHORTEST_IDLE_PAUSE).min(poll_max)
}

/// How long a worker pauses after a batch of `events` that `took` so long. A full batch means a backlog: no pause.
pub(crate) fn busy(events: usize, is_full: bool, took: Duration, poll_max: Duration) -> Duration {
    if is_full || events < MANY_EVENTS {
        return Duration::ZERO;
    }
    (took * PAUSE_PER_BATCH).min(LONGEST_BUSY_PAUSE).min(poll_max)
}

/// Pauses while the database fails: from 50 ms, doubling up to 500 ms, plus up to 100 % jitter, so that workers do not
/// all retry at the same moment.
pub(crate) fn outage() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST_OUTAGE_PAUSE)
        .with_max_delay(LONGEST_OUTAGE_PAUSE)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

/// How long to pause before waiting events are tried again that have been locked for `locked_for`, where an attempt
/// `took` so long. Two workers block each other for milliseconds. The end of a longer lock is noticed within
/// [`LONGEST_WAITING_PAUSE`], or within [`LONGEST_PAUSE_AFTER_A_LONG_ATTEMPT`] if thousands of rows are locked.
pub(crate) fn waiting(locked_for: Duration, took: Duration) -> Duration {
    let after_a_long_attempt = (took * WAITING_PAUSE_PER_ATTEMPT).min(LONGEST_PAUSE_AFTER_A_LONG_ATTEMPT);
    locked_for.clamp(SHORTEST_WAITING_PAUSE, LONGEST_WAITING_PAUSE).max(after_a_long_attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_worker_pauses_for_a_fraction_of_the_time_since_the_last_event() {
        let poll_max = Duration::from_millis(20);
        let pauses =
            [0, 64, 640, 1_280, 60_000].map(|since| idle(Duration::from_millis(since), poll_max).as_micros());
        assert_eq!(pauses, [200, 1_000, 10_000, 20_000, 20_000]);
    }

    #[test]
    fn a_worker_that_keeps_up_with_many_events_pauses_briefly() {
        let ms = Duration::from_millis;
        assert_eq!(busy(10, false, ms(1), ms(20)), ms(3));
        assert_eq!(busy(99, false, ms(1_000), ms(20)), LONGEST_BUSY_PAUSE);
        assert_eq!(busy(99, false, ms(1_000), ms(1)), ms(1), "no longer than POLL_MAX_MS");
        assert_eq!(busy(9, false, ms(1), ms(20)), Duration::ZERO, "few events do not wait");
        assert_eq!(busy(100, true, ms(1), ms(20)), Duration::ZERO, "a backlog does not wait");
    }

    #[test]
    fn a_locked_row_is_tried_again_soon_and_then_less_often() {
        let ms = Duration::from_millis;
        assert_eq!([0, 7, 50, 60_000].map(|ago| waiting(ms(ago), ms(0))), [5, 7, 50, 200].map(ms));
        assert_eq!(waiting(ms(60_000), ms(50)), ms(400), "attempts use a small fraction of the time");
        assert_eq!(waiting(ms(60_000), ms(500)), ms(600), "no event waits for more than a second");
    }

    #[test]
    fn a_failing_worker_never_stops_and_never_pauses_for_more_than_a_second() {
        let pauses: Vec<_> = outage().take(1_000).collect();
        assert_eq!(pauses.len(), 1_000);
        assert!(pauses.iter().all(|pause| (50..=1_000).contains(&pause.as_millis())), "{pauses:?}");
    }
}
