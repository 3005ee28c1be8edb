//! How long a subscription's task waits between two batches.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::progress::Handled;
use crate::event_log::EventLog;
use crate::pause;

/// An idle subscription is claimed this often: an operator may have set it back.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// How often a subscription that is paused, lost, or another worker's is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause at a hole. It doubles while the hole stays.
const SHORTEST_HOLE_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_HOLE_PAUSE: Duration = Duration::from_millis(100);
/// After nothing was found the next claim does not follow at once, whatever the log's poller says.
const AFTER_NOTHING: Duration = Duration::from_millis(1);

/// The first pause while a listener has no room for more events. It doubles up to [`LOOK_EVERY`].
const SHORTEST_FULL_PAUSE: Duration = Duration::from_millis(5);

/// The pauses while a listener has no room for more events.
pub(super) fn full() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST_FULL_PAUSE)
        .with_max_delay(LOOK_EVERY)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

/// How long to wait before the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// For this long.
    For(Duration),
    /// For this long: the hole after `position` may be filled.
    AtHole { pause: Duration, position: i64 },
    /// For this long, then until the log has events after `position`, or until `at_most` has passed.
    ForNewer { pause: Duration, position: i64, at_most: Duration },
}

impl Wait {
    /// Returns when it is over.
    pub(crate) async fn pass(self, event_log: &EventLog) {
        match self {
            Self::For(pause) | Self::AtHole { pause, .. } => tokio::time::sleep(pause).await,
            Self::ForNewer { pause, position, at_most } => {
                tokio::time::sleep(pause).await;
                event_log.until_newer_than(position, at_most).await;
            }
        }
    }
}

/// How long readers have waited at a hole.
#[derive(Debug, Default)]
pub(crate) struct HolePause {
    hole: Option<i64>,
    pause: Duration,
}

impl HolePause {
    /// The pause in front of `hole`.
    fn at(&mut self, hole: i64) -> Duration {
        self.pause = if self.hole.replace(hole) == Some(hole) {
            (self.pause * 2).min(LONGEST_HOLE_PAUSE)
        } else {
            SHORTEST_HOLE_PAUSE
        };
        self.pause
    }
}

/// The wait after a batch that `took` so long. `is_full` if its limit ended it.
pub(crate) fn after_batch(
    handled: Handled,
    is_full: bool,
    took: Duration,
    poll_max: Duration,
    hole_pause: &mut HolePause,
) -> Wait {
    let Handled { events, parked, checkpoint, hole, is_more } = handled;
    // Finding refused events costs much: leave at least half of the time to other listeners.
    let for_others = if parked > 0 { took } else { Duration::ZERO };
    if let Some(hole) = hole {
        return Wait::AtHole { pause: hole_pause.at(hole).max(for_others), position: checkpoint };
    }
    if is_more || is_full {
        return Wait::For(for_others);
    }
    let pause = match events {
        0 => AFTER_NOTHING,
        _ => pause::busy(events, false, took, poll_max).max(for_others),
    };
    Wait::ForNewer { pause, position: checkpoint, at_most: IDLE_EVERY }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn wait(handled: Handled, hole_pause: &mut HolePause) -> Wait {
        after_batch(handled, false, MS, 20 * MS, hole_pause)
    }

    const HANDLED: Handled = Handled { events: 1, parked: 0, checkpoint: 7, hole: None, is_more: false };

    #[test]
    fn a_backlog_does_not_wait_unless_events_are_refused() {
        let more = Handled { is_more: true, ..HANDLED };
        assert_eq!(wait(more, &mut HolePause::default()), Wait::For(Duration::ZERO));
        assert_eq!(wait(Handled { parked: 1, ..more }, &mut HolePause::default()), Wait::For(MS));
    }

    #[test]
    fn a_subscription_that_has_caught_up_waits_for_a_newer_event() {
        let pause = |events| match wait(Handled { events, ..HANDLED }, &mut HolePause::default()) {
            Wait::ForNewer { pause, position: 7, at_most: IDLE_EVERY } => pause,
            other => panic!("{other:?}"),
        };
        assert_eq!([0, 1, 10].map(pause), [AFTER_NOTHING, Duration::ZERO, 3 * MS]);
    }

    #[test]
    fn the_pause_at_a_hole_grows_until_it_is_passed() {
        let at_hole = |ms| Wait::AtHole { pause: ms * MS, position: 7 };
        let mut hole_pause = HolePause::default();
        let mut at = |hole| wait(Handled { hole: Some(hole), ..HANDLED }, &mut hole_pause);
        assert_eq!([at(8), at(8), at(8), at(9)], [5, 10, 20, 5].map(at_hole));
        for _ in 0..10 {
            at(9);
        }
        assert_eq!(at(9), at_hole(100));
    }
}
