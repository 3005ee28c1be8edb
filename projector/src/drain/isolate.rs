//! Finding the events that PostgreSQL refuses, or whose rows are locked, without giving up the claim.
//!
//! Events are applied in parts, each in a savepoint. A part that fails is taken back and halved, until the event at fault is
//! alone. Rows that exist and are locked have been skipped before: here it is about rows that another session has inserted and
//! not committed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use runtime::telemetry::chain;
use shared_events::OrderEvent;

use super::control::Refused;
use super::savepoints::{SAVEPOINTS_MAX, Savepoints};
use super::{Drain, DrainError, Mode};
use crate::blame::Blame;

/// How long a part waits for a lock once another part has waited in vain. Whether the wait or a refusal has ended it makes no
/// difference as long as there is something to halve; a single event is then tried with the usual lock timeout.
const SHORT_LOCK_WAIT: Duration = Duration::from_millis(10);
/// So many events of a batch are tried with the usual lock timeout. The others are set aside after a short wait: it does no harm
/// where the wait was not the reason, because an event that waits is tried again.
const LOCKED_FEW: usize = 8;
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

impl Drain {
    /// Applies `events` in parts of size `part`, and smaller ones where that fails.
    pub(super) async fn isolate(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[OrderEvent],
        part: usize,
        mode: Mode,
    ) -> Result<Found, DrainError> {
        let mut found = Found::default();
        let mut refused = Refused::default();
        let mut locks = Locks::default();
        let mut savepoints = Savepoints::begin(connection).await?;
        let mut parts = parts(events.len(), part);
        while let Some(part) = parts.pop() {
            let some = events.get(part.clone()).unwrap_or_default();
            let mut tried = self.try_part(connection, &savepoints, some, mode).await?;
            if matches!(tried, Err((Blame::Lock, _))) && part.len() == 1 && !locks.are_many() {
                savepoints.undo_and_wait(connection, self.database.shortest_timeout()).await?;
                tried = self.try_part(connection, &savepoints, some, mode).await?;
            }
            let Err((blame, error)) = tried else {
                savepoints.keep(connection, !parts.is_empty()).await?;
                continue;
            };
            if blame == Blame::Lock {
                savepoints.undo_and_wait(connection, locks.wait()).await?;
            } else {
                savepoints.undo(connection).await?;
            }
            match (halves(&part), blame) {
                (Some((left, right)), blame)
                    if blame != Blame::Lock || locks.is_worth_halving(&savepoints) =>
                {
                    parts.extend([right, left]);
                }
                (_, Blame::Lock) => {
                    if locks.found == 0 || part.len() > 1 {
                        self.check_that_table_is_free(connection, &mut savepoints, mode).await?;
                    }
                    locks.add(part.len());
                    savepoints.undo_and_wait(connection, locks.wait()).await?;
                    found.locked.extend(part);
                }
                _ => {
                    if let Some(event) = some.first() {
                        refused.add(event, &error);
                    }
                    found.refused.insert(part.start, reason(&error));
                }
            }
        }
        if !found.refused.is_empty() {
            self.check_with_controls(connection, refused, mode).await?;
        }
        Ok(found)
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

/// The first one last.
fn parts(events: usize, size: usize) -> Vec<Range<usize>> {
    let starts = (0..events).step_by(size.max(1));
    starts.map(|start| start..events.min(start.saturating_add(size))).rev().collect()
}

fn halves(part: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let middle = part.start + part.len() / 2;
    (part.len() > 1).then_some((part.start..middle, middle..part.end))
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

    #[test]
    fn a_part_is_split_until_one_event_is_left() {
        assert_eq!(halves(&(0..5)), Some((0..2, 2..5)));
        assert_eq!(halves(&(3..5)), Some((3..4, 4..5)));
        assert_eq!(halves(&(4..5)), None);
    }

    #[test]
    fn parts_cover_all_events_in_order() {
        assert_eq!(parts(5, 2), [4..5, 2..4, 0..2]);
        assert_eq!(parts(3, 2), [2..3, 0..2]);
        assert!(parts(0, 9).is_empty());
    }
}
