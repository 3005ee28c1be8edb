//! Where claims begin: behind the ids that are settled and gone.
//!
//! A claim that always began at the lowest id would walk over every event that was ever deleted and not yet vacuumed, and
//! a long transaction anywhere keeps vacuum from doing that. So claims begin at a remembered id. It must not be the
//! newest id that was claimed: ids are drawn before they are committed, and an event that is committed late may have a low
//! one. It moves only past ids whose transactions have all ended, and of which no event is left:
//!
//! 1. Read how far ids have been drawn, **then** have a transaction id assigned, the mark. Writers get their transaction id
//!    before they draw an id for an event (write-api writes the order first), so that whoever has drawn an id up to there
//!    has a transaction id lower than the mark.
//! 2. Once no transaction below the mark is running (`pg_snapshot_xmin` has reached it), everything with an id up to there
//!    is committed or never will be. If the same snapshot sees no event up to there, claims may begin behind it, else at
//!    the first event that it sees. A claim of another worker that is not committed yet still shows its events.
//!
//! `pg_snapshot_xmax` would be no mark: it is one past the newest transaction that has *ended*, and running ones can be
//! above it.
//!
//! A long transaction that only reads does not hold this up. One that writes does; claims then walk over what was deleted
//! since it began.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use runtime::database::{Database, DatabaseError};

use crate::adapter::postgres::frontier::{self, Drawn, Look};

/// Claims begin at the lowest id this often, whatever is remembered. It is for what the reasoning above does not cover: an
/// event inserted by hand, whose id may be drawn before its transaction has one.
const FULL_SCAN_EVERY: Duration = Duration::from_mins(1);
/// The frontier is surveyed after this many drained events, or after this long.
const SURVEY_EVERY_EVENTS: usize = 1_000;
const SURVEY_EVERY: Duration = Duration::from_millis(100);

/// The lowest id at which an event can be. All workers of a process share it.
pub(crate) struct Frontier {
    start: AtomicI64,
    next_full_scan: Mutex<Instant>,
    /// Locked by the one worker that surveys.
    survey: tokio::sync::Mutex<Survey>,
}

struct Survey {
    pending: Option<Mark>,
    last: Instant,
    events: usize,
}

/// Once all transactions before `transaction` have ended, ids up to `newest` are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    newest: i64,
    transaction: i64,
}

impl Frontier {
    /// Nothing is known yet: claims begin at the lowest id.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            start: AtomicI64::new(0),
            next_full_scan: Mutex::new(now + FULL_SCAN_EVERY),
            survey: tokio::sync::Mutex::new(Survey { pending: None, last: now, events: 0 }),
        }
    }

    /// The lowest id at which an event can be, as far as is known.
    pub(crate) fn start(&self) -> i64 {
        self.start.load(Ordering::Relaxed)
    }

    /// Where the next claim begins. Now and then that is the lowest id of all.
    pub(crate) fn next_claim(&self, now: Instant) -> i64 {
        let mut next_full_scan = self.next_full_scan.lock().unwrap_or_else(PoisonError::into_inner);
        if now < *next_full_scan {
            return self.start();
        }
        // Set before the scan has succeeded: one that takes too long must not be tried again at once.
        *next_full_scan = now + FULL_SCAN_EVERY;
        0
    }

    /// A claim has found an event with this id. If that is before the start, the start was wrong.
    pub(crate) fn found(&self, id: i64) {
        let start = self.start.fetch_min(id, Ordering::Relaxed);
        if id < start {
            tracing::warn!(event.id = id, start, "an event was found before the place where claims begin");
        }
    }

    /// Forgets everything. After a lost connection the database may be another one: a standby that took over may lack ids
    /// that had been drawn.
    pub(crate) async fn forget(&self) {
        self.survey.lock().await.pending = None;
        self.start.store(0, Ordering::Relaxed);
    }

    /// Moves on if that may be worth it now that `drained` more events are gone.
    ///
    /// # Errors
    ///
    /// The database's; nothing has moved then.
    pub(crate) async fn survey(&self, database: &Database, drained: usize) -> Result<(), DatabaseError> {
        // Whoever has it is moving the start for all.
        let Ok(mut survey) = self.survey.try_lock() else { return Ok(()) };
        survey.events += drained;
        if survey.events < SURVEY_EVERY_EVENTS && survey.last.elapsed() < SURVEY_EVERY {
            return Ok(());
        }
        survey.events = 0;
        survey.last = Instant::now();
        let from = self.start();
        if let Some(mark) = survey.pending {
            let look =
                database.run(move |connection| frontier::look(connection, from, mark.transaction).boxed());
            let Some(start) = start_after(mark, look.await?) else { return Ok(()) };
            survey.pending = None;
            // Not where it was brought back meanwhile: the look began too high then.
            let _brought_back =
                self.start.compare_exchange(from, start, Ordering::Relaxed, Ordering::Relaxed);
        }
        let from = self.start();
        let drawn = database.run(move |connection| frontier::drawn(connection, from).boxed()).await?;
        if drawn.newest + 1 < from {
            tracing::warn!(newest = drawn.newest, start = from, "ids have gone back; claims begin anew");
            self.start.store(0, Ordering::Relaxed);
        }
        survey.pending = mark_of(drawn);
        Ok(())
    }
}

fn mark_of(drawn: Drawn) -> Option<Mark> {
    drawn.mark.map(|transaction| Mark { newest: drawn.newest, transaction })
}

/// Where claims may begin after a look past `mark`; nothing while it is not settled.
fn start_after(mark: Mark, look: Look) -> Option<i64> {
    let behind = mark.newest + 1;
    look.settled.then(|| look.first.map_or(behind, |first| first.min(behind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { newest: 100, transaction: 7 };

    #[test]
    fn claims_begin_behind_settled_ids_or_at_the_first_event_that_is_left() {
        let start = |settled, first| start_after(MARK, Look { settled, first });
        assert_eq!(start(false, None), None);
        assert_eq!(start(true, None), Some(101));
        assert_eq!(start(true, Some(40)), Some(40));
        // An event that came after the mark says nothing about ids between: their transactions may be running.
        assert_eq!(start(true, Some(500)), Some(101));
    }

    #[test]
    fn every_minute_one_claim_begins_at_the_lowest_id() {
        let frontier = Frontier::new();
        frontier.start.store(42, Ordering::Relaxed);
        let now = Instant::now();
        assert_eq!(frontier.next_claim(now), 42);
        assert_eq!(frontier.next_claim(now + FULL_SCAN_EVERY), 0);
        assert_eq!(frontier.next_claim(now + FULL_SCAN_EVERY), 42);
    }

    #[test]
    fn an_event_before_the_start_brings_it_back() {
        let frontier = Frontier::new();
        frontier.start.store(42, Ordering::Relaxed);
        frontier.found(50);
        assert_eq!(frontier.start(), 42);
        frontier.found(17);
        assert_eq!(frontier.start(), 17);
    }
}
