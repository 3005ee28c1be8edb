//! The trait of listeners, and one batch of a listener.

use std::time::Duration;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use super::claim::{Claimed, claim};
use super::progress::Progress;
use super::steps::Steps;
use super::store;
use crate::batch::BatchError;
use crate::event_log::{LoggedEvent, ReadLimits};

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
        self.batch(ReadLimits { events: limit, bytes: self.batch_max_bytes }).boxed()
    }
}

impl ListenerSteps {
    async fn batch(&self, limits: ReadLimits) -> Result<Progress, BatchError> {
        let mut session = self.database.session().await?;
        let each_statement = session.statement_limit();
        let transaction =
            session.transaction(async |connection| self.in_transaction(connection, limits).await);
        let progress = each_statement.run(transaction).await.map_err(|_| BatchError::NoAnswer)?;
        match &progress {
            Ok(progress) => {
                session.give_back();
                if matches!(progress, Progress::Handled(handled) if handled.events > 0) {
                    self.listener.committed();
                }
            }
            Err(error) => session.give_back_after(error, Duration::ZERO),
        }
        Ok(progress?)
    }

    async fn in_transaction(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ReadLimits,
    ) -> Result<Progress, DieselError> {
        let room = self.listener.room(connection, limits.events).await?;
        if room <= 0 {
            return Ok(Progress::Full);
        }
        let limits = ReadLimits { events: room.min(limits.events), ..limits };
        let claimed = claim(connection, self.name(), limits).await?;
        if let Claimed::Events { read, .. } = &claimed
            && let Some(last) = read.events.last()
        {
            self.listener.handle(connection, &read.events).await?;
            store::move_checkpoint(connection, self.name(), last.position, read.history).await?;
        }
        Ok(Progress::new(claimed, 0))
    }
}
