//! The low-water mark: all outbox ids below it are settled, and none of them has an event. Claims start there.
//!
//! A claim that started at the lowest id would read every deleted event that vacuum has not removed yet, and one long
//! transaction anywhere keeps vacuum from removing them. The newest claimed id cannot be the mark: an id is allocated
//! before its transaction commits, so an event that commits late may have a low id. The mark advances only past ids
//! whose transactions have all ended and of which no event is left:
//!
//! 1. Read the newest allocated id, **then** get an xid. Together they are a settle point. A writer has its xid before
//!    it allocates an id (write-api writes the order first), so each transaction that has allocated an id up to the
//!    newest has an xid below that of the settle point.
//! 2. Once no transaction below that xid is running (`pg_snapshot_xmin` has reached it), each of these ids is committed
//!    or never will be. If the same snapshot sees no event up to the newest id, the mark advances past it, otherwise to
//!    the first event. Events that another worker has claimed and not committed are still seen.
//!
//! `pg_snapshot_xmax` cannot replace the xid: it is one past the newest xid that has *ended*, and running transactions
//! may have higher ones.
//!
//! A long transaction that only reads does not hold the mark up. One with an xid does, whatever it writes. The
//! projector then reads from `pg_locks` which transactions have the outbox or its sequence locked, after it read the
//! newest id. Every transaction that allocated an id holds such a lock until it ends. When all of these have ended, a
//! scan that starts later sees what they wrote, and the mark may advance. So only a long transaction that itself writes
//! events holds the mark up. Until it ends, each claim also reads the dead rows of all events that were deleted after
//! it began.
//!
//! All of this holds within one run of the server. After a crash, ids of events and transactions that were not on disk
//! are allocated again, and so they are after a failover to a standby that lagged. Each query also returns the server
//! run that it came from. If that has changed, the mark goes back to the lowest id. So events with reused ids are
//! claimed at the latest after the next advance.
//!
//! A scan covers a limited range of ids, so it is short even over millions of dead rows. The next one continues from
//! there.

#[cfg(test)]
mod model;
mod progress;
pub mod queries;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};

use self::progress::{Progress, XID_ZERO};
use self::queries::{Allocated, Scan, ServerRun};

/// The mark advances after this many claimed events, or after this long.
const ADVANCE_EVERY_EVENTS: usize = 1_000;
const ADVANCE_EVERY: Duration = Duration::from_millis(100);
/// Most ids that one scan covers: a few milliseconds if all of them are dead.
const SCAN_RANGE: i64 = 50_000;
/// An advance starts no further scan after this long. After a failed batch it may take longer: a claim that reads too
/// many dead rows keeps failing until the mark has advanced.
const ADVANCE_LIMIT: Duration = Duration::from_millis(10);
const ADVANCE_LIMIT_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How often the ids below the mark are scanned again. This covers what the reasoning above does not: an event that was
/// inserted by hand, whose id may be allocated before its transaction has an xid.
const RECHECK_EVERY: Duration = Duration::from_mins(1);

/// The lowest id at which an event can be. All workers of a process share it.
pub(crate) struct LowWaterMark {
    mark: AtomicI64,
    /// Locked by the worker that advances the mark.
    state: tokio::sync::Mutex<State>,
}

struct State {
    progress: Progress,
    /// The ids below the mark that are left to recheck, and when the next recheck starts.
    recheck: Range<i64>,
    next_recheck: Instant,
    last_advance: Instant,
    events_since: usize,
}

impl LowWaterMark {
    /// Nothing is known yet: claims start at the lowest id.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let state = State {
            progress: Progress::default(),
            recheck: 0..0,
            next_recheck: now + RECHECK_EVERY,
            last_advance: now,
            events_since: 0,
        };
        Self { mark: AtomicI64::new(0), state: tokio::sync::Mutex::new(state) }
    }

    /// The lowest id at which an event can be, as far as is known.
    pub(crate) fn get(&self) -> i64 {
        self.mark.load(Ordering::Relaxed)
    }

    /// The mark, and the server run in which it holds; none before the first result.
    pub(crate) async fn settled(&self) -> Option<(i64, ServerRun)> {
        self.state.lock().await.progress.settled()
    }

    /// Advances the mark if that is due, now that `claimed` more events are gone.
    ///
    /// # Errors
    ///
    /// The database's. The mark is still valid then.
    pub(crate) async fn advance(&self, database: &Database, claimed: usize) -> Result<(), DatabaseError> {
        // Another worker holds the lock and is advancing the mark for all of them.
        let Ok(mut state) = self.state.try_lock() else { return Ok(()) };
        state.events_since += claimed;
        if state.events_since < ADVANCE_EVERY_EVENTS && state.last_advance.elapsed() < ADVANCE_EVERY {
            return Ok(());
        }
        self.advance_within(database, &mut state, ADVANCE_LIMIT).await
    }

    /// Advances the mark as far as possible, because a batch has failed.
    ///
    /// # Errors
    ///
    /// The database's. The mark is still valid then.
    pub(crate) async fn advance_after_failure(&self, database: &Database) -> Result<(), DatabaseError> {
        let Ok(mut state) = self.state.try_lock() else { return Ok(()) };
        self.advance_within(database, &mut state, ADVANCE_LIMIT_AFTER_FAILURE).await
    }

    /// Advances the mark now, because a reader of the event log waits for ids to be settled.
    ///
    /// # Errors
    ///
    /// The database's. The mark is still valid then.
    pub(crate) async fn advance_for_readers(&self, database: &Database) -> Result<(), DatabaseError> {
        let Ok(mut state) = self.state.try_lock() else { return Ok(()) };
        self.advance_within(database, &mut state, ADVANCE_LIMIT).await
    }

    async fn advance_within(
        &self,
        database: &Database,
        state: &mut State,
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        let start = Instant::now();
        state.events_since = 0;
        state.last_advance = start;
        while self.scan_next(database, state).await? {
            if start.elapsed() > limit {
                return Ok(());
            }
        }
        if state.progress.needs_settle_point() {
            self.make_settle_point(database, state).await?;
        }
        while self.recheck(database, state).await? && start.elapsed() < limit {}
        Ok(())
    }

    /// Scans the ids from the mark on. Returns whether ids up to the pending settle point are left.
    async fn scan_next(&self, database: &Database, state: &mut State) -> Result<bool, DatabaseError> {
        let Some((range, xid)) = state.progress.next_scan() else { return Ok(false) };
        let found = scan(database, range.clone(), xid).await?;
        let is_more = state.progress.record_scan(&range, found);
        self.publish(state);
        Ok(is_more || self.check_writers(database, state).await?)
    }

    async fn make_settle_point(&self, database: &Database, state: &mut State) -> Result<(), DatabaseError> {
        let mark = state.progress.low_water_mark();
        let allocated: Allocated =
            database.run(move |connection| queries::allocated(connection, mark).boxed()).await?;
        state.progress.record_allocated(allocated);
        self.publish(state);
        self.check_writers(database, state).await.map(drop)
    }

    /// Returns whether the transactions that the pending settle point waits for have ended.
    async fn check_writers(&self, database: &Database, state: &mut State) -> Result<bool, DatabaseError> {
        if !state.progress.needs_writers() {
            return Ok(false);
        }
        let writers = database.run(|connection| queries::outbox_writers(connection).boxed()).await?;
        let have_ended = state.progress.record_writers(writers);
        self.publish(state);
        Ok(have_ended)
    }

    /// Scans some ids below the mark. Returns whether more are left.
    async fn recheck(&self, database: &Database, state: &mut State) -> Result<bool, DatabaseError> {
        if state.recheck.is_empty() && Instant::now() >= state.next_recheck {
            state.next_recheck = Instant::now() + RECHECK_EVERY;
            state.recheck = 0..self.get();
        }
        if state.recheck.is_empty() {
            return Ok(false);
        }
        let range = state.progress.range_from(state.recheck.start, state.recheck.end);
        let found = scan(database, range.clone(), XID_ZERO).await?;
        state.recheck.start = range.end;
        state.progress.record_recheck(found);
        self.publish(state);
        Ok(!state.recheck.is_empty())
    }

    /// Makes the mark visible to claims.
    fn publish(&self, state: &State) {
        self.mark.store(state.progress.low_water_mark(), Ordering::Relaxed);
    }
}

async fn scan(database: &Database, range: Range<i64>, xid: i64) -> Result<Scan, DatabaseError> {
    database.run(move |connection| queries::scan(connection, range, xid).boxed()).await
}
