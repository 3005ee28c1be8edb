//! Rows that another session has locked: their events wait in `waiting_events`, and all others go on.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::ready::{LockedEvent, Ready};
use super::{Drain, DrainError, Mode};
use crate::outbox::{ClaimLimits, ClaimedEvent};
use crate::waiting;
use crate::waiting::rounds::WITHOUT_ROW_WINDOW;

/// Locked rows are skipped for this long after one was noticed. Until then each batch has one statement more; after it the
/// first batch with an event of a locked order costs one lock timeout.
const SKIP_FOR: Duration = Duration::from_secs(10);

/// Events of orders without a row are tried in small batches: each whose row another session has inserted and not committed
/// costs a wait.
pub(crate) const PROBE_BATCH: usize = 64;

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

    /// Waiting events whose rows can be locked now. At the end of a round in which there are none, and every now and then, a few of
    /// those that have no row yet: whether another session holds these is only seen by trying.
    pub(super) async fn claim_waiting(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
        mode: &mut Mode,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        self.waiting.newest.begin();
        let is_probe_due = self.waiting.is_probe_due();
        if is_probe_due {
            let claimed = self.claim_without_row(connection, limits, mode).await?;
            if !claimed.is_empty() {
                return Ok(claimed);
            }
        }
        let claimed = self.claim_unlocked(connection, limits).await?;
        if claimed.is_empty() && !is_probe_due && !self.is_waiting_round_unfinished() {
            return self.claim_without_row(connection, limits, mode).await;
        }
        Ok(claimed)
    }

    async fn claim_unlocked(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let turn = &self.waiting.unlocked;
        let Some(window) = turn.window(connection, i64::MAX).await? else { return Ok(Vec::new()) };
        let claimed = waiting::claim_unlocked(connection, window, limits).await?;
        // While a claim is full there may be more in the same window.
        let is_full = i64::try_from(claimed.len()).is_ok_and(|events| events >= limits.events);
        turn.go_on_after(window, claimed.last().filter(|_| is_full).map(|event| event.id));
        Ok(claimed)
    }

    async fn claim_without_row(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
        mode: &mut Mode,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let most = i64::try_from(PROBE_BATCH).unwrap_or(i64::MAX);
        let limits = ClaimLimits { events: limits.events.min(most), ..limits };
        self.waiting.probed();
        let newest_first = self.waiting.newest.is_their_turn();
        for is_newest in [newest_first, !newest_first] {
            let claimed = if is_newest {
                self.claim_newest_without_row(connection, limits).await?
            } else {
                self.claim_next_without_row(connection, limits).await?
            };
            if !claimed.is_empty() {
                // Most may be locked: each half of a part would wait again.
                mode.part = Some(1);
                return Ok(claimed);
            }
        }
        Ok(Vec::new())
    }

    async fn claim_newest_without_row(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let newest = &self.waiting.newest;
        let window = waiting::window(connection, newest.tried(), WITHOUT_ROW_WINDOW).await?;
        let Some(window) = window else { return Ok(Vec::new()) };
        let claimed = waiting::claim_without_row(connection, window, limits).await?;
        newest.trying(claimed.last().map_or(window.up_to, |event| event.id));
        Ok(claimed)
    }

    async fn claim_next_without_row(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let turn = &self.waiting.without_row;
        let window = turn.window(connection, self.waiting.newest.tried()).await?;
        let Some(window) = window else { return Ok(Vec::new()) };
        let claimed = waiting::claim_without_row(connection, window, limits).await?;
        // Those that were tried may stay.
        turn.go_on_after(window, claimed.last().map(|event| event.id));
        Ok(claimed)
    }
}
