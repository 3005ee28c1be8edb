//! How long to pause: while events keep coming, after an empty look, after a failure, and before a parked event is tried
//! again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The pause after the outbox was found empty while events keep coming. Tokio's timer ends it at the next full millisecond.
const SHORTEST_IDLE_PAUSE: Duration = Duration::from_micros(200);
/// A worker pauses for this part of the time for which no event has come. An event then waits about that much longer than
/// the gap before it, at most, and a quiet outbox is looked at less and less often.
const IDLE_PART: u32 = 64;
/// Most of a small batch costs the same for one event as for ten. A worker that keeps up and finds this many events at once
/// pauses for so many times as long as it worked: the next batch is larger, some milliseconds later, and more of the machine is
/// left to writers and readers. With fewer events nothing is gained, and each is projected at once.
const MANY_EVENTS: usize = 10;
const PAUSE_PER_BATCH: u32 = 3;
const LONGEST_BUSY_PAUSE: Duration = Duration::from_millis(5);
/// The first and the longest pause after a failure, without jitter. Short enough that work goes on within two seconds of
/// the database's return.
const SHORTEST_OUTAGE_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_millis(500);

/// The shortest and the longest pause before a locked row is tried again, and at least so many times as long as a try takes.
const SHORTEST_WAITING_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_WAITING_PAUSE: Duration = Duration::from_millis(200);
const WAITING_PAUSE_PER_TRY: u32 = 16;
const LONGEST_PAUSE_AFTER_A_LONG_TRY: Duration = Duration::from_millis(600);

/// How long an idle worker pauses when no event has come `since`, up to `longest`.
pub(crate) fn idle(since: Duration, longest: Duration) -> Duration {
    (since / IDLE_PART).max(SHORTEST_IDLE_PAUSE).min(longest)
}

/// How long a worker pauses, up to `longest`, after a batch of so many events that took so long; full ones are a backlog, in
/// which it does not pause.
pub(crate) fn busy(events: usize, is_full: bool, took: Duration, longest: Duration) -> Duration {
    if is_full || events < MANY_EVENTS {
        return Duration::ZERO;
    }
    (took * PAUSE_PER_BATCH).min(LONGEST_BUSY_PAUSE).min(longest)
}

/// Pauses while the database does not work: from 50 ms, doubling up to 500 ms, with jitter of up to as much again, so that
/// many workers do not come back at the same moment.
pub(crate) fn outage() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST_OUTAGE_PAUSE)
        .with_max_delay(LONGEST_OUTAGE_PAUSE)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

/// How long to pause before waiting events are tried again that have been locked for so long, where a try takes so long. Two workers
/// keep each other waiting for milliseconds; what is locked for longer is seen at the latest [`LONGEST_WAITING_PAUSE`] after the
/// lock has ended, or [`LONGEST_PAUSE_AFTER_A_LONG_TRY`] where thousands of rows are locked.
pub(crate) fn waiting(locked_for: Duration, took: Duration) -> Duration {
    let after_a_long_try = (took * WAITING_PAUSE_PER_TRY).min(LONGEST_PAUSE_AFTER_A_LONG_TRY);
    locked_for.clamp(SHORTEST_WAITING_PAUSE, LONGEST_WAITING_PAUSE).max(after_a_long_try)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_worker_pauses_for_a_part_of_the_time_since_the_last_event() {
        let longest = Duration::from_millis(20);
        let pauses =
            [0, 64, 640, 1_280, 60_000].map(|since| idle(Duration::from_millis(since), longest).as_micros());
        assert_eq!(pauses, [200, 1_000, 10_000, 20_000, 20_000]);
    }

    #[test]
    fn a_worker_that_keeps_up_with_many_events_pauses_for_a_moment() {
        let ms = Duration::from_millis;
        assert_eq!(busy(10, false, ms(1), ms(20)), ms(3));
        assert_eq!(busy(99, false, ms(1_000), ms(20)), LONGEST_BUSY_PAUSE);
        assert_eq!(busy(99, false, ms(1_000), ms(1)), ms(1), "no longer than when it is idle");
        assert_eq!(busy(9, false, ms(1), ms(20)), Duration::ZERO, "few events are not made to wait");
        assert_eq!(busy(100, true, ms(1), ms(20)), Duration::ZERO, "nor is a backlog");
    }

    #[test]
    fn a_locked_row_is_tried_again_soon_and_then_less_often() {
        let ms = Duration::from_millis;
        assert_eq!([0, 7, 50, 60_000].map(|ago| waiting(ms(ago), ms(0))), [5, 7, 50, 200].map(ms));
        assert_eq!(waiting(ms(60_000), ms(25)), ms(400), "most of the time is left to others");
        assert_eq!(waiting(ms(60_000), ms(500)), ms(600), "but nothing waits for more than a second");
    }

    #[test]
    fn a_failing_worker_never_gives_up_and_never_pauses_for_more_than_a_second() {
        let pauses: Vec<_> = outage().take(1_000).collect();
        assert_eq!(pauses.len(), 1_000);
        assert!(pauses.iter().all(|pause| (50..=1_000).contains(&pause.as_millis())), "{pauses:?}");
    }
}
