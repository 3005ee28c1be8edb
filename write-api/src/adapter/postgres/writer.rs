//! Stores orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use runtime::database::Database;
use runtime::tasks::CriticalTasks;
use shared_events::OrderEvent;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::commit::Committer;
use super::group_commit;
use super::job::Job;
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
}

/// Stores orders in PostgreSQL, each with its event, and all that wait in one statement and one commit.
pub struct PgOrderWriter {
    database: Database,
    queue: mpsc::Sender<Job>,
    command_limit: Duration,
}

/// The task that commits has died. What it had begun may be stored or not.
#[derive(Debug, thiserror::Error)]
#[error("the group commit task has ended")]
struct CommitterGone;

/// The deadline passed while the command was waiting. It was taken back: nothing was stored, nor will be.
#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed while other commands were being stored")]
struct StillWaiting;

impl PgOrderWriter {
    /// A writer that commits batches over `commits`, and does everything else over `database`: whatever is going on there
    /// must not keep a batch from being committed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: it starts the task that commits. That ends when the writer is dropped and its queue empty.
    #[must_use]
    pub fn start(commits: Database, database: Database, limits: Limits, tasks: &CriticalTasks) -> Self {
        let (queue, receiver) = mpsc::channel(limits.queue);
        let committer = Arc::new(Committer::new(commits, database.clone()));
        tasks.spawn("group commit", group_commit::run(receiver, committer));
        Self { database, queue, command_limit: limits.command }
    }
}

impl OrderWriter for PgOrderWriter {
    async fn save(&self, order: &Order, event: OrderEvent) -> Result<Saved, WriteError> {
        let row = SaveRow::new(order, &event).map_err(|error| WriteError::Refused(error.into()))?;
        // The row has all of it.
        drop(event);
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.command_limit;
        let decided = Arc::new(AtomicBool::new(false));
        let job = Job { row, deadline, unknown: false, failures: 0, decided: Arc::clone(&decided), answer };
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => WriteError::Busy,
            TrySendError::Closed(_) => WriteError::Unavailable(CommitterGone.into()),
        })?;
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(answer) => {
                answer.unwrap_or_else(|_dropped| Err(WriteError::OutcomeUnknown(CommitterGone.into())))
            }
            Err(_elapsed) if !decided.swap(true, Ordering::AcqRel) => {
                Err(WriteError::Unavailable(StillWaiting.into()))
            }
            Err(elapsed) => Err(WriteError::OutcomeUnknown(elapsed.into())),
        }
    }

    async fn find(&self, order_id: Uuid) -> Result<Option<Order>, WriteError> {
        let row: Option<OrderRow> = self
            .database
            .read(|connection| {
                let one = orders::table.find(order_id).select(OrderRow::as_select());
                one.first(connection).map(OptionalExtension::optional).boxed()
            })
            .await
            // This only reads: whatever happens, nothing was stored.
            .map_err(|error| WriteError::Unavailable(error.into()))?;
        row.map(Order::try_from).transpose().map_err(|error| WriteError::Refused(error.into()))
    }
}
