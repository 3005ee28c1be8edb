//! Leaving out events whose rows another session has locked, so that all other events flow.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;

use super::BatchError;
use super::applier::{Applier, Mode};
use super::decode::{DecodedEvent, events};
use super::search::Found;

/// Locked rows are skipped for this long after one was noticed. During this time each batch has one more statement;
/// afterwards the first batch with a locked row costs a lock timeout.
const SKIP_FOR: Duration = Duration::from_secs(10);

/// Whether the workers of this process skip locked rows now.
#[derive(Default)]
pub(super) struct SkipLocked(Mutex<Option<Instant>>);

impl SkipLocked {
    pub(super) fn is_on(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    /// A locked row was noticed.
    pub(super) fn switch_on(&self) {
        let until = Instant::now() + SKIP_FOR;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

impl Applier {
    /// Locks the rows of all events, and takes out the events whose rows another session has locked.
    pub(super) async fn take_locked(
        &self,
        connection: &mut AsyncPgConnection,
        ready: &mut Vec<DecodedEvent>,
        mode: Mode,
    ) -> Result<Vec<DecodedEvent>, BatchError> {
        let mut waiting = Vec::new();
        if !mode.skip_locked || ready.is_empty() {
            return Ok(waiting);
        }
        let mut locked = BTreeSet::new();
        for projection in &self.projections {
            let positions = projection
                .lock_rows(connection, &events(ready))
                .await
                .map_err(|source| BatchError::Lock { projection: projection.name(), source })?;
            locked.extend(positions);
        }
        let _none_refused = Found { locked, ..Found::default() }.take_out_of(ready, &mut waiting);
        Ok(waiting)
    }
}
