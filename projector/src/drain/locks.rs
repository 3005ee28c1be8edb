//! Rows that another session has locked: their events wait in `waiting_events`, and all others go on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::ready::{LockedEvent, Ready};
use super::{Drain, DrainError, Mode};
use crate::adapter::postgres::claimed::{ClaimLimits, ClaimedEvent};
use crate::adapter::postgres::waiting::{self, Window};

/// Locked rows are skipped for this long after one was noticed. Until then each batch has one statement more; after it the
/// first batch with an event of a locked order costs one lock timeout.
const SKIP_FOR: Duration = Duration::from_secs(10);

/// Events of orders without a row are tried in small batches: each whose row another session has inserted and not committed
/// costs a wait.
pub(crate) const PROBE_BATCH: usize = 64;
/// They are tried at least this often, also while unlocked events keep coming.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// How many waiting events a claim looks through at most: a million that are locked must not reach the statement timeout.
const WINDOW: i64 = 10_000;

/// Whether the workers of this process skip locked rows at the moment.
#[derive(Default)]
pub(super) struct SkipLocked(Mutex<Option<Instant>>);

impl SkipLocked {
    pub(super) fn is_on(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    /// A locked row was noticed.
    pub(super) fn switch_on(&self) {
        let was_on = self.is_on();
        let until = Instant::now() + SKIP_FOR;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        if !was_on {
            tracing::info!("rows of a read model are locked by another session; their events will wait");
        }
    }
}

/// Another session's uncommitted rows are expected for this long after one was noticed: parts wait for a moment only.
const EXPECT_FOR: Duration = Duration::from_secs(5);

/// Whether another session has lately been seen to hold rows that it has inserted and not committed.
#[derive(Default)]
pub(super) struct Uncommitted(Mutex<Option<Instant>>);

impl Uncommitted {
    pub(super) fn is_on(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    /// One was noticed.
    pub(super) fn switch_on(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + EXPECT_FOR);
    }
}

impl Drain {
    /// Locks the rows of all events, and takes out the events whose rows another session has locked.
    pub(super) async fn take_locked(
        &self,
        connection: &mut AsyncPgConnection,
        ready: &mut Ready,
        mode: Mode,
    ) -> Result<Vec<LockedEvent>, DrainError> {
        if !mode.skip_locked || ready.events.is_empty() {
            return Ok(Vec::new());
        }
        let mut locked = BTreeSet::new();
        for projection in &self.projections {
            let positions = projection
                .lock_rows(connection, &ready.events)
                .await
                .map_err(|source| DrainError::Lock { projection: projection.name(), source })?;
            locked.extend(positions);
        }
        Ok(ready.take_locked(locked))
    }

    /// Waiting events whose rows can be locked now. Where there are none, and every now and then, a few of those that have no row
    /// yet: whether another session holds these is only seen by trying.
    pub(super) async fn claim_waiting(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let is_probe_due = self.waiting.is_probe_due();
        if is_probe_due {
            let claimed = self.claim_without_row(connection, limits).await?;
            if !claimed.is_empty() {
                return Ok(claimed);
            }
        }
        let Some(window) = self.waiting.unlocked.window(connection).await? else { return Ok(Vec::new()) };
        let claimed = waiting::claim_unlocked(connection, window, limits).await?;
        // What was claimed is gone afterwards, and there may be more in the same window.
        self.waiting.unlocked.go_on_after(window, (!claimed.is_empty()).then_some(window.after));
        if claimed.is_empty() && !is_probe_due {
            return self.claim_without_row(connection, limits).await;
        }
        Ok(claimed)
    }

    async fn claim_without_row(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let limits = ClaimLimits {
            events: limits.events.min(i64::try_from(PROBE_BATCH).unwrap_or(i64::MAX)),
            ..limits
        };
        self.waiting.probed();
        let newest = self.waiting.newest_tried.load(Ordering::Relaxed);
        if let Some(window) = waiting::window(connection, newest, WINDOW).await? {
            let claimed = waiting::claim_without_row(connection, window, limits).await?;
            let tried = claimed.last().map_or(window.up_to, |event| event.id);
            self.waiting.newest_tried.fetch_max(tried, Ordering::Relaxed);
            if !claimed.is_empty() {
                return Ok(claimed);
            }
        }
        let Some(window) = self.waiting.without_row.window(connection).await? else { return Ok(Vec::new()) };
        let claimed = waiting::claim_without_row(connection, window, limits).await?;
        // Those that were tried may stay.
        self.waiting.without_row.go_on_after(window, claimed.last().map(|event| event.id));
        Ok(claimed)
    }
}

/// Where the next claims of waiting events begin. All take their turn: those that are tried first may be locked for long.
pub(super) struct WaitingTurns {
    unlocked: Turn,
    without_row: Turn,
    /// Events with higher ids have not been tried here. They come before those that have: an event is also set aside because
    /// of others beside it.
    newest_tried: AtomicI64,
    probe: Mutex<Probe>,
}

#[derive(Default)]
struct Probe {
    is_last_claim: bool,
    ended_at: Option<Instant>,
}

impl Default for WaitingTurns {
    fn default() -> Self {
        Self {
            unlocked: Turn::default(),
            without_row: Turn::default(),
            newest_tried: AtomicI64::new(i64::MIN),
            probe: Mutex::default(),
        }
    }
}

impl WaitingTurns {
    /// Never twice in a row, however long a probe takes: those whose rows are unlocked have their turn as well.
    fn is_probe_due(&self) -> bool {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut probe.is_last_claim) {
            probe.ended_at = Some(Instant::now());
            return false;
        }
        probe.ended_at.is_none_or(|ended| ended.elapsed() >= PROBE_EVERY)
    }

    fn probed(&self) {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).is_last_claim = true;
    }
}

/// The id after which the next claim begins.
struct Turn(AtomicI64);

impl Default for Turn {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Turn {
    /// From the start again where there is nothing more.
    async fn window(&self, connection: &mut AsyncPgConnection) -> QueryResult<Option<Window>> {
        let after = self.0.load(Ordering::Relaxed);
        let window = waiting::window(connection, after, WINDOW).await?;
        if window.is_some() || after == i64::MIN {
            return Ok(window);
        }
        waiting::window(connection, i64::MIN, WINDOW).await
    }

    /// After `window`, or `within` it where something was found.
    fn go_on_after(&self, window: Window, within: Option<i64>) {
        let rest = if window.events < WINDOW { i64::MIN } else { window.up_to };
        self.0.store(within.unwrap_or(rest), Ordering::Relaxed);
    }
}
