//! Finding the events that PostgreSQL refuses, or whose rows are locked, without giving up the claim.
//!
//! Events are applied in parts, each in a savepoint. A part that fails is taken back and halved, until the event at fault is
//! alone. Rows that exist and are locked have been skipped before: here it is about rows that another session has inserted and
//! not committed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use service_kit::telemetry::chain;
use shared_events::OrderEvent;

use super::control::Refused;
use super::hints::Hints;
use super::savepoints::{SAVEPOINTS_MAX, Savepoints};
use super::{Drain, DrainError, Mode};
use crate::batch::error_class::Blame;

/// How long a part waits for a lock once another part has waited in vain. Whether the wait or a refusal has ended it makes no
/// difference as long as there is something to halve; a single event is then tried with the usual lock timeout.
const SHORT_LOCK_WAIT: Duration = Duration::from_millis(10);
/// So many events of a batch are tried with the usual lock timeout. The others are set aside after a short wait: it does no harm
/// where the wait was not the reason, because an event that waits is tried again.
const LOCKED_FEW: usize = 2;
const SHORTEST_LOCK_WAIT: Duration = Duration::from_millis(2);
/// Once more than a few are locked, parts are halved for this long, and as long as most savepoints are left. After that a part
/// with a locked event is set aside as a whole.
const HALVE_FOR: Duration = Duration::from_millis(500);
const SAVEPOINTS_FOR_HALVES: usize = SAVEPOINTS_MAX / 2;

/// By position, the events that could not be applied. Everything else was.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Refused, and why.
    pub(super) refused: BTreeMap<usize, String>,
    /// Their rows are locked.
    pub(super) locked: BTreeSet<usize>,
}

/// How many events were found to be locked, and for how long there have been many.
#[derive(Default)]
struct Locks {
    found: usize,
    many_since: Option<Instant>,
}

impl Locks {
    fn add(&mut self, events: usize) {
        self.found += events;
        if self.found >= LOCKED_FEW {
            self.many_since.get_or_insert_with(Instant::now);
        }
    }

    fn are_many(&self) -> bool {
        self.many_since.is_some()
    }

    /// How long the next part waits for a lock.
    fn wait(&self) -> Duration {
        if self.are_many() { SHORTEST_LOCK_WAIT } else { SHORT_LOCK_WAIT }
    }

    fn is_worth_halving(&self, savepoints: &Savepoints) -> bool {
        self.many_since
            .is_none_or(|since| since.elapsed() < HALVE_FOR && savepoints.kept() < SAVEPOINTS_FOR_HALVES)
    }
}

/// Events by their positions, to be applied together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    events: Range<usize>,
    /// It is one event, and the only one that seems to be refused.
    is_suspect: bool,
}

/// What is left to be applied, and what has been found.
struct Search {
    /// The next one last.
    parts: Vec<Part>,
    savepoints: Savepoints,
    locks: Locks,
    hints: Hints,
    found: Found,
    refused: Refused,
}

impl Drain {
    /// Applies `events` in parts of size `part`, and smaller ones where that fails.
    pub(super) async fn isolate(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[OrderEvent],
        part: usize,
        mode: Mode,
    ) -> Result<Found, DrainError> {
        let savepoints = Savepoints::begin(connection).await?;
        let hints = self.hints(connection).await?;
        let parts = parts(events.len(), part);
        let (locks, found, refused) = (Locks::default(), Found::default(), Refused::default());
        let mut search = Search { parts, savepoints, locks, hints, found, refused };
        while let Some(part) = search.parts.pop() {
            let some = events.get(part.events.clone()).unwrap_or_default();
            let mut tried = self.try_part(connection, &search.savepoints, some, mode).await?;
            let has_waited_shortly = search.savepoints.lock_timeout().is_some() && !search.locks.are_many();
            if matches!(tried, Err((Blame::Lock, _))) && some.len() == 1 && has_waited_shortly {
                search.savepoints.undo_and_wait(connection, self.database.shortest_timeout()).await?;
                tried = self.try_part(connection, &search.savepoints, some, mode).await?;
            }
            match tried {
                Ok(()) => {
                    search.savepoints.keep(connection, !search.parts.is_empty()).await?;
                    self.note_written(&mut search.hints, some, part.is_suspect);
                }
                Err((Blame::Lock, error)) => {
                    self.part_is_locked(connection, &mut search, part, some, &error, mode).await?;
                }
                Err((_, error)) => self.part_is_refused(connection, &mut search, part, some, &error).await?,
            }
        }
        if !search.found.refused.is_empty() {
            self.check_with_controls(connection, search.refused, mode).await?;
        }
        Ok(search.found)
    }

    async fn part_is_locked(
        &self,
        connection: &mut AsyncPgConnection,
        search: &mut Search,
        part: Part,
        events: &[OrderEvent],
        error: &DrainError,
        mode: Mode,
    ) -> Result<(), DrainError> {
        search.savepoints.undo_and_wait(connection, search.locks.wait()).await?;
        if events.len() > 1 && search.locks.is_worth_halving(&search.savepoints) {
            match self.suspect(connection, &mut search.hints, events, error).await? {
                // No need to wait for it once more: an event that waits is tried again.
                Some(suspect) if search.locks.are_many() => {
                    search.set_aside(&part, part.events.start + suspect);
                }
                Some(suspect) => search.take_out(&part, part.events.start + suspect),
                None => _ = search.halve(&part),
            }
            return Ok(());
        }
        search.hints.forget();
        if search.locks.found == 0 || part.events.len() > 1 {
            self.check_that_table_is_free(connection, &mut search.savepoints, mode).await?;
        }
        search.locks.add(part.events.len());
        search.savepoints.undo_and_wait(connection, search.locks.wait()).await?;
        search.found.locked.extend(part.events);
        Ok(())
    }

    async fn part_is_refused(
        &self,
        connection: &mut AsyncPgConnection,
        search: &mut Search,
        part: Part,
        events: &[OrderEvent],
        error: &DrainError,
    ) -> Result<(), DrainError> {
        search.savepoints.undo(connection).await?;
        if let [event] = events {
            search.refused.add(event, error);
            search.found.refused.insert(part.events.start, reason(error));
            return Ok(());
        }
        match self.suspect(connection, &mut search.hints, events, error).await? {
            Some(suspect) => search.take_out(&part, part.events.start + suspect),
            None => _ = search.halve(&part),
        }
        Ok(())
    }

    /// A lock on the whole table is no event's. Nothing has been written since the last savepoint.
    async fn check_that_table_is_free(
        &self,
        connection: &mut AsyncPgConnection,
        savepoints: &mut Savepoints,
        mode: Mode,
    ) -> Result<(), DrainError> {
        savepoints.undo_and_wait(connection, self.database.shortest_timeout()).await?;
        self.apply_control(connection, &[Refused::default().control()], mode).await
    }

    /// Applies a part. What fails is either worth looking into, or an error of the whole batch.
    async fn try_part(
        &self,
        connection: &mut AsyncPgConnection,
        savepoints: &Savepoints,
        events: &[OrderEvent],
        mode: Mode,
    ) -> Result<Result<(), (Blame, DrainError)>, DrainError> {
        let Err(error) = self.apply(connection, events, mode).await else { return Ok(Ok(())) };
        let lock_timeout = savepoints.lock_timeout().unwrap_or_else(|| self.database.shortest_timeout());
        match self.blame_within(&error, lock_timeout) {
            Blame::Database => Err(error),
            // Not before it is known which rows are not free.
            Blame::Lock if !mode.skip_locked => Err(error),
            blame => Ok(Err((blame, error))),
        }
    }
}

impl Search {
    /// Leaves one part in two halves to be tried; nothing where it is a single event.
    fn halve(&mut self, part: &Part) -> bool {
        let halves = halves(&part.events);
        let is_more = halves.is_some();
        self.parts.extend(halves.into_iter().flatten().map(Part::of));
        is_more
    }

    /// Leaves what is before and after `suspect` to be tried.
    fn set_aside(&mut self, part: &Part, suspect: usize) {
        let Range { start, end } = part.events;
        let around = [Part::of(suspect + 1..end), Part::of(start..suspect)];
        self.parts.extend(around.into_iter().filter(|part| !part.events.is_empty()));
        self.found.locked.insert(suspect);
    }

    /// Leaves `suspect` to be tried alone, and apart from it what is before and after it.
    fn take_out(&mut self, part: &Part, suspect: usize) {
        let Range { start, end } = part.events;
        let alone = Part { events: suspect..suspect + 1, is_suspect: true };
        let around = [Part::of(suspect + 1..end), alone, Part::of(start..suspect)];
        self.parts.extend(around.into_iter().filter(|part| !part.events.is_empty()));
    }
}

impl Part {
    fn of(events: Range<usize>) -> Self {
        Self { events, is_suspect: false }
    }
}

/// The first one last.
fn parts(events: usize, size: usize) -> Vec<Part> {
    let starts = (0..events).step_by(size.max(1));
    starts.map(|start| Part::of(start..events.min(start.saturating_add(size)))).rev().collect()
}

/// The first one last.
fn halves(part: &Range<usize>) -> Option<[Range<usize>; 2]> {
    let middle = part.start + part.len() / 2;
    (part.len() > 1).then_some([middle..part.end, part.start..middle])
}

fn reason(error: &DrainError) -> String {
    match error {
        DrainError::Projection { projection, source, .. } => format!("{projection}: {}", chain(source)),
        other => chain(other),
    }
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
