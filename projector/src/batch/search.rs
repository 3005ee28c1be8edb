//! What is left to apply of a batch in parts, and what has been found.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::control::Refused;
use super::decode::DecodedEvent;
use super::hints::Hints;
use super::savepoints::{MAX_SAVEPOINTS, Savepoints};
use crate::outbox::ClaimedEvent;

/// The lock timeout after the first part of a batch has timed out. A single event that times out is tried again with
/// the session's lock timeout, unless [`SEVERAL_LOCKED`] events are locked.
const REDUCED_LOCK_WAIT: Duration = Duration::from_millis(10);
/// From this many locked events in a batch, parts wait only [`MIN_LOCK_WAIT`], and an event that times out is set aside
/// at once. That does no harm if it is not locked, because a waiting event is tried again.
const SEVERAL_LOCKED: usize = 2;
const MIN_LOCK_WAIT: Duration = Duration::from_millis(2);
/// Once [`SEVERAL_LOCKED`] events are locked, a part that waits for a lock is halved only for this long, and only while
/// fewer than [`MAX_SAVEPOINTS_TO_HALVE`] savepoints are in use. After that it is set aside as a whole.
const HALVE_FOR: Duration = Duration::from_millis(500);
const MAX_SAVEPOINTS_TO_HALVE: usize = MAX_SAVEPOINTS / 2;

/// The events that could not be applied, by position. All others were applied.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The refused events, each with the reason.
    pub(super) refused: BTreeMap<usize, String>,
    /// The events whose rows are locked.
    pub(super) locked: BTreeSet<usize>,
}

impl Found {
    /// Moves the locked events from `ready` to `waiting`, and takes out the refused ones. The rest keeps its order.
    pub(super) fn take_out_of(
        mut self,
        ready: &mut Vec<DecodedEvent>,
        waiting: &mut Vec<DecodedEvent>,
    ) -> Vec<(ClaimedEvent, String)> {
        let mut refused = Vec::new();
        if self.locked.is_empty() && self.refused.is_empty() {
            return refused;
        }
        for (position, decoded) in std::mem::take(ready).into_iter().enumerate() {
            if let Some(reason) = self.refused.remove(&position) {
                refused.push((decoded.claimed, reason));
            } else if self.locked.contains(&position) {
                waiting.push(decoded);
            } else {
                ready.push(decoded);
            }
        }
        refused
    }
}

/// How many locked events were found, and since when they have been several.
#[derive(Default)]
pub(super) struct Locks {
    pub(super) found: usize,
    several_since: Option<Instant>,
}

impl Locks {
    pub(super) fn add(&mut self, events: usize) {
        self.found += events;
        if self.found >= SEVERAL_LOCKED {
            self.several_since.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn are_several(&self) -> bool {
        self.several_since.is_some()
    }

    /// How long the next part waits for a lock.
    pub(super) fn wait(&self) -> Duration {
        if self.are_several() { MIN_LOCK_WAIT } else { REDUCED_LOCK_WAIT }
    }

    pub(super) fn is_worth_halving(&self, savepoints: &Savepoints) -> bool {
        self.several_since
            .is_none_or(|since| since.elapsed() < HALVE_FOR && savepoints.kept() < MAX_SAVEPOINTS_TO_HALVE)
    }
}

/// Positions of events to apply together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) events: Range<usize>,
    /// The part is one event, and a hint says that it is refused.
    pub(super) is_suspect: bool,
}

/// What is left to apply, and what has been found.
pub(super) struct Search {
    /// In reverse order: the next part is popped from the end.
    pub(super) parts: Vec<Part>,
    pub(super) savepoints: Savepoints,
    pub(super) locks: Locks,
    pub(super) hints: Hints,
    pub(super) found: Found,
    pub(super) refused: Refused,
}

impl Search {
    pub(super) fn new(events: usize, part: usize, savepoints: Savepoints, hints: Hints) -> Self {
        let (locks, found, refused) = (Locks::default(), Found::default(), Refused::default());
        Self { parts: parts(events, part), savepoints, locks, hints, found, refused }
    }

    /// Puts both halves of a part back. A single event has none.
    pub(super) fn halve(&mut self, part: &Part) {
        self.parts.extend(halves(&part.events).into_iter().flatten().map(Part::new));
    }

    /// Records that `suspect` is locked, and puts the events before and after it back.
    pub(super) fn mark_locked(&mut self, part: &Part, suspect: usize) {
        let Range { start, end } = part.events;
        self.put_back([Part::new(suspect + 1..end), Part::new(start..suspect)]);
        self.found.locked.insert(suspect);
    }

    /// Puts `suspect` back as a part of its own, and the events before and after it.
    pub(super) fn take_out(&mut self, part: &Part, suspect: usize) {
        let Range { start, end } = part.events;
        let alone = Part { events: suspect..suspect + 1, is_suspect: true };
        self.put_back([Part::new(suspect + 1..end), alone, Part::new(start..suspect)]);
    }

    fn put_back<const N: usize>(&mut self, parts: [Part; N]) {
        self.parts.extend(parts.into_iter().filter(|part| !part.events.is_empty()));
    }
}

impl Part {
    fn new(events: Range<usize>) -> Self {
        Self { events, is_suspect: false }
    }
}

/// In reverse order, as in [`Search::parts`].
fn parts(events: usize, size: usize) -> Vec<Part> {
    let starts = (0..events).step_by(size.max(1));
    starts.map(|start| Part::new(start..events.min(start.saturating_add(size)))).rev().collect()
}

/// In reverse order, as in [`Search::parts`].
fn halves(part: &Range<usize>) -> Option<[Range<usize>; 2]> {
    let middle = part.start + part.len() / 2;
    (part.len() > 1).then_some([middle..part.end, part.start..middle])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(parts: Vec<Part>) -> Vec<Range<usize>> {
        parts.into_iter().map(|part| part.events).collect()
    }

    #[test]
    fn a_part_is_split_until_one_event_is_left() {
        assert_eq!(halves(&(0..5)), Some([2..5, 0..2]));
        assert_eq!(halves(&(3..5)), Some([4..5, 3..4]));
        assert_eq!(halves(&(4..5)), None);
    }

    #[test]
    fn parts_cover_all_events_in_order() {
        assert_eq!(ranges(parts(5, 2)), [4..5, 2..4, 0..2]);
        assert_eq!(ranges(parts(3, 2)), [2..3, 0..2]);
        assert!(parts(0, 9).is_empty());
    }
}
