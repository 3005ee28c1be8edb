//! Stores orders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_async::RunQueryDsl;
use runtime::database::{Pool, PoolError};
use shared_events::OrderEvent;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::commit::Committer;
use super::group_commit::{self, Job};
use super::row::OrderRow;
use super::save_batch::SaveRow;
use super::schema::orders;
use crate::domain::Order;
use crate::port::{OrderWriter, Saved, WriteError};

/// What a [`PgOrderWriter`] allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Commands that may wait; further ones are refused.
    pub queue: usize,
    /// How long a command may take until its caller is told that it failed, or that its outcome is unknown.
    pub command: Duration,
    /// A statement that has not answered by then is given up together with its connection. It should be longer than
    /// PostgreSQL's own limit, so that it only strikes where the connection has gone silent.
    pub statement: Duration,
}

/// Stores orders in PostgreSQL, each with its event, and all that wait in one statement and one commit.
pub struct PgOrderWriter {
    pool: Pool,
    queue: mpsc::Sender<Job>,
    command_limit: Duration,
}

/// Why orders cannot be stored now.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The task that commits has died.
    #[error("the group commit task has ended")]
    Dead,
    /// No connection.
    #[error("no connection to the database")]
    Connect(#[from] PoolError),
    /// The table cannot be read: not migrated yet, or not our role.
    #[error("the orders table cannot be read")]
    Read(#[from] DieselError),
}

/// The task that commits has died. What it had begun may be stored or not.
#[derive(Debug, thiserror::Error)]
#[error("the group commit task has ended")]
struct CommitterGone;

impl PgOrderWriter {
    /// A writer that takes its connections from `pool`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: it starts the task that commits. That ends when the writer is dropped and its queue empty.
    #[must_use]
    pub fn start(pool: Pool, limits: Limits) -> Self {
        let (queue, receiver) = mpsc::channel(limits.queue);
        let committer = Arc::new(Committer::new(pool.clone(), limits.statement));
        tokio::spawn(group_commit::run(receiver, committer));
        Self { pool, queue, command_limit: limits.command }
    }

    /// Whether an order could be stored now: the database answers and the table is there.
    ///
    /// # Errors
    ///
    /// [`CheckError`].
    pub async fn check(&self) -> Result<(), CheckError> {
        if self.queue.is_closed() {
            return Err(CheckError::Dead);
        }
        let mut connection = self.pool.get().await?;
        orders::table.select(orders::order_id).limit(0).execute(&mut connection).await?;
        Ok(())
    }
}

impl OrderWriter for PgOrderWriter {
    async fn save(&self, order: &Order, event: &OrderEvent) -> Result<Saved, WriteError> {
        let row = SaveRow::new(order, event).map_err(|error| WriteError::Refused(error.into()))?;
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.command_limit;
        let job = Job { row, deadline, unknown: false, failures: 0, answer };
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => WriteError::Busy,
            TrySendError::Closed(_) => WriteError::Unavailable(CommitterGone.into()),
        })?;
        answered.await.unwrap_or_else(|_dropped| Err(WriteError::OutcomeUnknown(CommitterGone.into())))
    }

    async fn find(&self, order_id: Uuid) -> Result<Option<Order>, WriteError> {
        let unavailable = |error| WriteError::Unavailable(error);
        let mut connection = self.pool.get().await.map_err(|error| unavailable(error.into()))?;
        let row: Option<OrderRow> = orders::table
            .find(order_id)
            .select(OrderRow::as_select())
            .first(&mut connection)
            .await
            .optional()
            .map_err(|error| unavailable(error.into()))?;
        row.map(Order::try_from).transpose().map_err(|error| WriteError::Refused(error.into()))
    }
}
