//! A read model that is a subscription: the log as a source of events for a projection.

use std::sync::{Mutex, PoisonError};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use super::claim::{Claimed, claim};
use super::parked::{self, ParkedSource};
use super::progress::Progress;
use super::steps::Steps;
use super::store::{self, Locked, Move};
use crate::batch::{Applier, Batch, BatchError, BatchOutcome, Claim, EventSource, Sizing};
use crate::event_log::{LoggedEvent, ReadLimits};
use crate::outbox::{ClaimLimits, ClaimedEvent, Origin};
use crate::parked::RetryPolicy;
use crate::projection::Projection;

/// The batches of a read model. Its name is also the name of the subscription.
pub struct ReadModelSteps {
    name: &'static str,
    applier: Applier,
    log: LogSource,
    parked: ParkedSource,
}

impl ReadModelSteps {
    /// Applies the events of the log in `database` to `projection`. Events that it refuses are parked, and tried again
    /// as `retry_policy` says.
    #[must_use]
    pub fn new(
        database: Database,
        projection: Box<dyn Projection>,
        retry_policy: RetryPolicy,
        batch_max_bytes: i64,
    ) -> Self {
        let name = projection.name();
        Self {
            name,
            log: LogSource { name, claimed: Mutex::default(), sizing: Sizing::new(batch_max_bytes) },
            parked: ParkedSource {
                name,
                sizing: Sizing::new(batch_max_bytes),
                latest_due_in: retry_policy.latest_due_in(),
            },
            applier: Applier::new(database, vec![projection], retry_policy),
        }
    }

    /// Applies the next events, up to `limit`, and moves the checkpoint, in one transaction.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if the read model or the database failed. Nothing has changed then.
    pub async fn run_once(&self, limit: i64) -> Result<Progress, BatchError> {
        let parked = match self.applier.run_once(&self.log, limit).await? {
            BatchOutcome::Committed { parked, waiting, .. } => parked + waiting,
            BatchOutcome::Empty => 0,
        };
        Ok(Progress::new(self.log.take_claimed(), parked))
    }

    /// Tries parked events that are due, up to `limit`.
    ///
    /// # Errors
    ///
    /// [`BatchError`], as for [`Self::run_once`].
    pub async fn retry_parked_once(&self, limit: i64) -> Result<BatchOutcome, BatchError> {
        self.applier.run_once(&self.parked, limit).await
    }
}

impl Steps for ReadModelSteps {
    fn name(&self) -> &str {
        self.name
    }

    fn database(&self) -> &Database {
        self.applier.database()
    }

    fn batch_limit(&self, limit: i64) -> i64 {
        self.log.sizing.batch_limit(limit)
    }

    fn run_once(&self, limit: i64) -> BoxFuture<'_, Result<Progress, BatchError>> {
        self.run_once(limit).boxed()
    }

    fn retry_parked(&self, limit: i64) -> BoxFuture<'_, Result<BatchOutcome, BatchError>> {
        self.retry_parked_once(limit).boxed()
    }
}

/// The events of the log after the checkpoint. Those that are refused, or whose rows are locked, are parked.
struct LogSource {
    name: &'static str,
    /// What the transaction in progress has claimed. Only the subscription's task runs batches.
    claimed: Mutex<Option<Claimed>>,
    sizing: Sizing,
}

impl LogSource {
    fn set_claimed(&self, claimed: Claimed) {
        *self.claimed.lock().unwrap_or_else(PoisonError::into_inner) = Some(claimed);
    }

    fn take_claimed(&self) -> Claimed {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(Claimed::Nothing)
    }

    /// The subscription, the checkpoint after the claimed events, and its history; none if nothing was claimed.
    fn next_checkpoint(&self) -> Option<(Locked, i64, i64)> {
        match &*self.claimed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Claimed::Events { locked, read }) => {
                Some((locked.clone(), read.events.last()?.position, read.history))
            }
            _ => None,
        }
    }
}

impl EventSource for LogSource {
    fn subscription(&self) -> Option<&str> {
        Some(self.name)
    }

    fn sizing(&self) -> &Sizing {
        &self.sizing
    }

    fn always_skips_locked(&self) -> bool {
        false
    }

    fn claim<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> BoxFuture<'a, QueryResult<Claim>> {
        async move {
            let limits = ReadLimits { events: limits.events, bytes: limits.bytes };
            let claimed = claim(connection, self.name, limits).await?;
            let events = match &claimed {
                Claimed::Events { read, .. } => read.events.iter().map(claimed_event).collect(),
                Claimed::Nothing | Claimed::Lost { .. } => Vec::new(),
            };
            self.set_claimed(claimed);
            Ok(events.into())
        }
        .boxed()
    }

    fn tried(&self, events: usize, refused: usize) {
        self.sizing.record(events, refused);
    }

    fn finish<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        batch: &'a Batch,
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            let Some((from, to, history)) = self.next_checkpoint() else { return Ok(()) };
            if !batch.parked.is_empty() || !batch.locked.is_empty() {
                parked::park(connection, self.name, batch).await?;
            }
            store::move_checkpoints(connection, &[Move { from: &from, to }], history).await
        }
        .boxed()
    }

    fn committed<'a>(&'a self, _database: &'a Database, batch: &'a Batch) -> BoxFuture<'a, ()> {
        crate::parked::log(Some(self.name), &batch.parked);
        std::future::ready(()).boxed()
    }
}

fn claimed_event(event: &LoggedEvent) -> ClaimedEvent {
    ClaimedEvent {
        id: event.position,
        kind: event.kind.clone(),
        payload: event.payload.clone(),
        created_at: event.recorded_at,
        traceparent: event.traceparent.clone(),
        origin: Origin::Log,
    }
}
