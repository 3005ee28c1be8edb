//! Which events of a read may be delivered.

use super::read::LoggedEvent;

/// What a snapshot shows about the positions that it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    /// No event will be logged below this position, except what is in the outbox.
    pub(super) below: i64,
    /// The lowest event in the outbox that is below it.
    pub(super) first_in_outbox: Option<i64>,
}

/// Cuts off the events behind the first hole that may still be filled. Returns the first position of that hole.
pub(super) fn cut_at_hole(after: i64, events: &mut Vec<LoggedEvent>, settled: Settled) -> Option<i64> {
    let mut last = after;
    let unsafe_from = events.iter().position(|event| {
        let is_safe = event.position <= last.saturating_add(1) || is_passable(event.position, settled);
        if is_safe {
            last = event.position;
        }
        !is_safe
    })?;
    events.truncate(unsafe_from);
    Some(last.saturating_add(1))
}

/// Whether all positions in front of this one are settled.
fn is_passable(position: i64, settled: Settled) -> bool {
    position <= settled.below && settled.first_in_outbox.is_none_or(|first| position < first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(after: i64, logged: &[i64], settled: Settled) -> (Vec<i64>, Option<i64>) {
        let event = |position: &i64| LoggedEvent { position: *position, ..LoggedEvent::default() };
        let mut events: Vec<_> = logged.iter().map(event).collect();
        let hole = cut_at_hole(after, &mut events, settled);
        (events.iter().map(|event| event.position).collect(), hole)
    }

    const NOTHING: Settled = Settled { below: 0, first_in_outbox: None };

    #[test]
    fn a_run_without_a_hole_needs_no_proof() {
        assert_eq!(delivered(4, &[5, 6, 7], NOTHING), (vec![5, 6, 7], None));
        assert_eq!(delivered(4, &[], NOTHING), (vec![], None));
    }

    #[test]
    fn an_event_behind_a_hole_waits() {
        assert_eq!(delivered(4, &[5, 7, 8], NOTHING), (vec![5], Some(6)));
        assert_eq!(delivered(4, &[6], NOTHING), (vec![], Some(5)));
    }

    #[test]
    fn a_hole_below_the_settled_position_is_passed() {
        let settled = |below| Settled { below, first_in_outbox: None };
        assert_eq!(delivered(4, &[5, 7, 9], settled(7)), (vec![5, 7], Some(8)));
        assert_eq!(delivered(4, &[5, 7, 9], settled(6)), (vec![5], Some(6)));
        assert_eq!(delivered(4, &[9], settled(9)), (vec![9], None));
    }

    #[test]
    fn an_event_that_is_still_in_the_outbox_is_waited_for() {
        let settled = Settled { below: 100, first_in_outbox: Some(6) };
        assert_eq!(delivered(4, &[5, 7], settled), (vec![5], Some(6)));
        assert_eq!(delivered(2, &[4, 5, 7], settled), (vec![4, 5], Some(6)));
    }

    #[test]
    fn two_events_with_one_position_are_both_delivered() {
        assert_eq!(delivered(4, &[5, 5, 6], NOTHING), (vec![5, 5, 6], None));
    }
}
