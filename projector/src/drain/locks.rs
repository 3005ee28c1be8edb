//! Rows that another session has locked: their events wait in `waiting_events`, and all others go on.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::ready::{LockedEvent, Ready};
use super::{Drain, DrainError, Mode};
use crate::adapter::postgres::claimed::{ClaimLimits, ClaimedEvent};
use crate::adapter::postgres::waiting;

/// Locked rows are skipped for this long after one was noticed. Until then each batch has one statement more; after it the
/// first batch with an event of a locked order costs one lock timeout.
const SKIP_FOR: Duration = Duration::from_secs(10);

/// Events of orders without a row are tried in small batches: each whose row another session has inserted and not committed
/// costs a wait.
const PROBE_BATCH: i64 = 32;

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

    /// Waiting events whose rows can be locked now. Where there are none, a few of those that have no row yet: whether another
    /// session holds these is only seen by trying.
    pub(super) async fn claim_waiting(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let claimed = waiting::claim_unlocked(connection, limits).await?;
        if !claimed.is_empty() {
            return Ok(claimed);
        }
        // In turn: those that are tried first may be locked for long.
        let after = self.last_probed.load(Ordering::Relaxed);
        let claimed = waiting::claim_without_row(connection, after, PROBE_BATCH).await?;
        let last = claimed.last().map_or(i64::MIN, |event| event.id);
        self.last_probed.store(last, Ordering::Relaxed);
        Ok(claimed)
    }
}
