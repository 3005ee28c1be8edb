//! The trait of listeners, and one batch of a listener.

use std::time::{Duration, SystemTime};

use diesel::QueryResult;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;
use service_kit::telemetry::chain;

use super::claim::{Claimed, read_next};
use super::parked::{self, SkippedEvent};
use super::progress::Progress;
use super::steps::Steps;
use super::store::{self, Move};
use crate::batch::{BatchError, BatchOutcome};
use crate::event_log::{LoggedEvent, ReadLimits};
use crate::traces::{self, Times, TracedEvent};

/// Something that listens to all events of the log, in its own subscription.
///
/// A read model implements [`Projection`](crate::projection::Projection) instead: it gets decoded events, and those
/// that it refuses are parked.
pub trait Listener: Send + Sync {
    /// The name of the subscription, 1 to 128 characters.
    fn name(&self) -> &str;

    /// Handles the next events, by position, on `connection` only.
    ///
    /// It runs in the transaction that moves the checkpoint, so what it writes is written once. An error rolls both
    /// back; the same events, or fewer, follow after a pause.
    fn handle<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [LoggedEvent],
    ) -> BoxFuture<'a, QueryResult<()>>;

    /// How many events it can handle now, at most `limit`. 0 means that it has to wait; this is asked again soon.
    fn room<'a>(
        &'a self,
        _connection: &'a mut AsyncPgConnection,
        limit: i64,
    ) -> BoxFuture<'a, QueryResult<i64>> {
        std::future::ready(Ok(limit)).boxed()
    }

    /// Whether it does anything with events of this kind.
    fn wants(&self, _kind: &str) -> bool {
        true
    }

    /// What [`Self::handle`] wrote is committed.
    fn committed(&self) {}
}

/// The batches of a listener.
pub(super) struct ListenerSteps {
    pub(super) database: Database,
    pub(super) listener: Box<dyn Listener>,
    pub(super) batch_max_bytes: i64,
}

impl Steps for ListenerSteps {
    fn name(&self) -> &str {
        self.listener.name()
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn run_once(&self, limit: i64) -> BoxFuture<'_, Result<Progress, BatchError>> {
        self.next_batch(limit).boxed()
    }

    fn retry_parked(&self, _limit: i64) -> BoxFuture<'_, Result<BatchOutcome, BatchError>> {
        self.next_skipped().boxed()
    }
}

impl ListenerSteps {
    async fn in_transaction<T: Send>(
        &self,
        limit: i64,
        work: for<'c> fn(&'c Self, &'c mut AsyncPgConnection, i64) -> BoxFuture<'c, QueryResult<T>>,
    ) -> Result<T, BatchError> {
        let mut session = self.database.session().await?;
        let each_statement = session.statement_limit();
        let transaction = session.transaction(async |connection| work(self, connection, limit).await);
        let done = each_statement.run(transaction).await.map_err(|_| BatchError::NoAnswer)?;
        match &done {
            Ok(_) => session.give_back(),
            Err(error) => session.give_back_after(error, Duration::ZERO),
        }
        Ok(done?)
    }

    async fn next_batch(&self, limit: i64) -> Result<Progress, BatchError> {
        let handle_next: for<'c> fn(&'c Self, &'c mut AsyncPgConnection, i64) -> BoxFuture<'c, _> =
            |steps, connection, limit| steps.handle_next(connection, limit).boxed();
        let began = SystemTime::now();
        let (progress, traced) = self.in_transaction(limit, handle_next).await?;
        if matches!(progress, Progress::Handled(handled) if handled.events > 0) {
            self.listener.committed();
        }
        record(&traced, began);
        Ok(progress)
    }

    fn traced(&self, events: &[LoggedEvent]) -> Vec<TracedEvent> {
        let wanted = events.iter().filter(|event| self.listener.wants(&event.kind));
        wanted.filter_map(|event| TracedEvent::logged(event, self.name())).collect()
    }

    async fn handle_next(
        &self,
        connection: &mut AsyncPgConnection,
        limit: i64,
    ) -> QueryResult<(Progress, Vec<TracedEvent>)> {
        let Some(locked) = store::lock_one(connection, self.name()).await? else {
            return Ok((Progress::NotClaimed, Vec::new()));
        };
        // Counted after the lock: no other worker fills it at the same time.
        let room = self.listener.room(connection, limit).await?;
        if room <= 0 {
            return Ok((Progress::Full, Vec::new()));
        }
        let limits = ReadLimits { events: room.min(limit), bytes: self.batch_max_bytes };
        let claimed = read_next(connection, locked, limits).await?;
        let mut traced = Vec::new();
        if let Claimed::Events { locked, read } = &claimed
            && let Some(last) = read.events.last()
        {
            self.listener.handle(connection, &read.events).await?;
            let moved = Move { from: locked, to: last.position };
            store::move_checkpoints(connection, &[moved], read.history).await?;
            traced = self.traced(&read.events);
        }
        Ok((Progress::new(claimed, 0), traced))
    }

    async fn next_skipped(&self) -> Result<BatchOutcome, BatchError> {
        let retry: for<'c> fn(&'c Self, &'c mut AsyncPgConnection, i64) -> BoxFuture<'c, _> =
            |steps, connection, _| steps.retry_skipped(connection).boxed();
        let began = SystemTime::now();
        let (outcome, traced) = self.in_transaction(1, retry).await?;
        if matches!(outcome, BatchOutcome::Committed { applied, .. } if applied > 0) {
            self.listener.committed();
        }
        record(&traced, began);
        Ok(outcome)
    }

    /// Handles an event that an operator had skipped. If it fails again, it is left for an operator again.
    async fn retry_skipped(
        &self,
        connection: &mut AsyncPgConnection,
    ) -> QueryResult<(BatchOutcome, Vec<TracedEvent>)> {
        let Some(SkippedEvent { id, event }) = parked::claim_skipped(connection, self.name()).await? else {
            return Ok((BatchOutcome::Empty, Vec::new()));
        };
        let events = [event];
        let handled =
            connection.transaction(async |savepoint| self.listener.handle(savepoint, &events).await);
        match handled.await {
            Ok(()) => {
                parked::remove(connection, id).await?;
                Ok((BatchOutcome::Committed { applied: 1, parked: 0, waiting: 0 }, self.traced(&events)))
            }
            Err(error) => {
                parked::leave_for_operator(connection, id, &chain(&error)).await?;
                Ok((BatchOutcome::Committed { applied: 0, parked: 1, waiting: 0 }, Vec::new()))
            }
        }
    }
}

fn record(traced: &[TracedEvent], began: SystemTime) {
    traces::record(traced, traced.len(), Times { began, claimed: began, ended: SystemTime::now() });
}
