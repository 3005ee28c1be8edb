//! Finding the events that PostgreSQL refuses, or whose rows are locked, without giving up the claim.
//!
//! Events are applied in parts, each in a savepoint. A part that fails is taken back and halved, until the event at fault is
//! alone. While this goes on, how many good events there are between two refused ones decides the size of parts and batches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use runtime::telemetry::chain;
use shared_events::OrderEvent;

use super::control::Refused;
use super::{Drain, DrainError, Mode};
use crate::blame::Blame;

/// Most savepoints that write in one transaction. Beyond this many PostgreSQL's snapshots get slower for everybody.
const SAVEPOINTS_MAX: usize = 64;
/// Most parts that may wait for a lock in vain in one batch, and for how long each. A batch with more is rolled back: somebody
/// has locked the whole table.
const LOCK_WAITS_MAX: usize = 16;
const LOCK_WAIT: Duration = Duration::from_millis(10);
/// A batch never has to be smaller: each of its events can have a savepoint.
const SMALLEST_BATCH: usize = SAVEPOINTS_MAX;
/// Good events between two refused ones, before anything is known.
const FIRST_GAP: usize = 1_000;
const LONGEST_GAP: usize = 100_000;
/// Parts of this share of a gap cost least: more parts cost more statements, larger ones are written twice more often.
const PARTS_PER_GAP: usize = 8;
/// A batch has room for about so many refused events.
const GAPS_PER_BATCH: usize = 2;
/// Parts are used until nothing has been refused for this long.
const CALM_AFTER: Duration = Duration::from_secs(10);

/// By position, the events that could not be applied. Everything else was.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Refused, and why.
    pub(super) refused: BTreeMap<usize, String>,
    /// Their rows are locked.
    pub(super) locked: BTreeSet<usize>,
}

/// Whether batches are applied in parts, and in which. The workers of a process share it.
pub(super) struct Isolation(Mutex<State>);

struct State {
    until: Option<Instant>,
    gap: usize,
}

impl Default for Isolation {
    fn default() -> Self {
        Self(Mutex::new(State { until: None, gap: FIRST_GAP }))
    }
}

impl Isolation {
    /// The size of parts; nothing while batches are applied in one go.
    pub(super) fn part(&self) -> Option<usize> {
        self.with(|state| state.is_on().then(|| (state.gap / PARTS_PER_GAP).max(1)))
    }

    /// `limit`, or less while much is refused.
    pub(super) fn batch_limit(&self, limit: i64) -> i64 {
        let most = self.with(|state| {
            state.is_on().then(|| state.gap.saturating_mul(GAPS_PER_BATCH).max(SMALLEST_BATCH))
        });
        most.and_then(|most| i64::try_from(most).ok()).map_or(limit, |most| most.min(limit))
    }

    pub(super) fn switch_on(&self) {
        self.with(|state| state.until = Some(Instant::now() + CALM_AFTER));
    }

    /// A batch was too large.
    pub(super) fn shrink(&self) {
        self.with(|state| state.gap = (state.gap / 4).max(1));
    }

    /// So many events of a batch were refused.
    pub(super) fn record(&self, events: usize, refused: usize) {
        self.with(|state| {
            if !state.is_on() {
                return;
            }
            if let Some(gap) = events.checked_div(refused) {
                state.gap = usize::midpoint(state.gap, gap).max(1);
                state.until = Some(Instant::now() + CALM_AFTER);
            } else {
                state.gap = state.gap.saturating_add(events / 4).min(LONGEST_GAP);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn is_on(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
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
        let mut savepoints = Savepoints::begin(connection).await?;
        let mut lock_waits = 0;
        let mut parts: Vec<_> = (0..events.len())
            .step_by(part)
            .map(|start| start..events.len().min(start + part))
            .rev()
            .collect();
        while let Some(part) = parts.pop() {
            let some = events.get(part.clone()).unwrap_or_default();
            let Err(error) = self.apply(connection, some, mode).await else {
                savepoints.keep(connection, !parts.is_empty()).await?;
                continue;
            };
            let limit = if lock_waits > 0 { LOCK_WAIT } else { self.database.shortest_timeout() };
            let blame = self.blame_within(&error, limit);
            if blame == Blame::Lock {
                lock_waits += 1;
            }
            if blame == Blame::Database
                || (blame == Blame::Lock && !mode.skip_locked)
                || lock_waits > LOCK_WAITS_MAX
            {
                return Err(error);
            }
            savepoints.undo(connection, lock_waits > 0).await?;
            match (halves(&part), blame) {
                (Some((left, right)), _) => parts.extend([right, left]),
                (None, Blame::Lock) => drop(found.locked.insert(part.start)),
                (None, _) => {
                    if let Some(event) = some.first() {
                        refused.add(event, &error);
                    }
                    found.refused.insert(part.start, reason(&error));
                }
            }
        }
        if !found.refused.is_empty() || !found.locked.is_empty() {
            self.apply_control(connection, &refused.control(), mode).await?;
        }
        Ok(found)
    }
}

/// One savepoint after the other, on the same level.
struct Savepoints {
    kept: usize,
}

impl Savepoints {
    async fn begin(connection: &mut AsyncPgConnection) -> Result<Self, DrainError> {
        connection.batch_execute("SAVEPOINT part").await?;
        Ok(Self { kept: 0 })
    }

    /// Keeps what was written since the last one, and begins another where there is `more`.
    async fn keep(&mut self, connection: &mut AsyncPgConnection, more: bool) -> Result<(), DrainError> {
        self.kept += 1;
        if !more {
            return Ok(());
        }
        if self.kept >= SAVEPOINTS_MAX {
            return Err(DrainError::TooManySavepoints);
        }
        Ok(connection.batch_execute("RELEASE SAVEPOINT part; SAVEPOINT part").await?)
    }

    /// Takes back what was written since the last one. `is_impatient` for the rest of the transaction about locks.
    async fn undo(&self, connection: &mut AsyncPgConnection, is_impatient: bool) -> Result<(), DrainError> {
        let back = "ROLLBACK TO SAVEPOINT part";
        if is_impatient {
            let statements = format!("{back}; SET LOCAL lock_timeout = {}", LOCK_WAIT.as_millis());
            return Ok(connection.batch_execute(&statements).await?);
        }
        Ok(connection.batch_execute(back).await?)
    }
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
    fn the_more_is_refused_the_smaller_are_parts_and_batches() {
        let isolation = Isolation::default();
        assert_eq!((isolation.part(), isolation.batch_limit(5_000)), (None, 5_000));
        isolation.record(100, 0);
        assert_eq!(isolation.part(), None, "nothing was refused");
        isolation.switch_on();
        assert_eq!((isolation.part(), isolation.batch_limit(5_000)), (Some(125), 2_000));
        for _ in 0..20 {
            isolation.record(200, 2);
        }
        assert_eq!((isolation.part(), isolation.batch_limit(5_000)), (Some(12), 200));
        for _ in 0..20 {
            isolation.record(64, 32);
        }
        assert_eq!((isolation.part(), isolation.batch_limit(5_000)), (Some(1), 64));
        for _ in 0..100 {
            isolation.record(5_000, 0);
        }
        assert_eq!(isolation.batch_limit(5_000), 5_000);
    }
}
