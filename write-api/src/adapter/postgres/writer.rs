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
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::commit::Committer;
use super::group_commit;
use super::job::Job;
use super::row::OrderRow;
use super::save_batch::SaveRow;
use super::schema::orders;
use crate::budget::{Budget, OverBudget};
use crate::domain::{Order, OrderLine};
use crate::port::{OrderWriter, Saved, WriteError};

/// What a [`PgOrderWriter`] allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Commands that may wait; further ones are refused.
    pub queue: usize,
    /// The memory for commands that wait or are being stored; what does not fit is refused.
    pub budget: Budget,
    /// How long a command may take until its caller is told that it failed, or that its outcome is unknown.
    pub command: Duration,
}

/// Stores orders in PostgreSQL, each with its event, and all that wait in one statement and one commit.
pub struct PgOrderWriter {
    database: Database,
    queue: mpsc::UnboundedSender<Job>,
    slots: Arc<Semaphore>,
    budget: Budget,
    command_limit: Duration,
}

/// What a command takes beside its row and its order: the request, the task that serves it, and its place in the queue.
const COMMAND_BYTES: usize = 1024;

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
        // What may be in it is limited by slots and by the budget.
        let (queue, receiver) = mpsc::unbounded_channel();
        let committer = Arc::new(Committer::new(commits, database.clone()));
        tasks.spawn("group commit", group_commit::run(receiver, committer, limits.budget.max_batch()));
        let slots = Arc::new(Semaphore::new(limits.queue));
        Self { database, queue, slots, budget: limits.budget, command_limit: limits.command }
    }
}

impl OrderWriter for PgOrderWriter {
    async fn save(&self, order: &Order, event: OrderEvent) -> Result<Saved, WriteError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| WriteError::Busy)?;
        let busy = |OverBudget| WriteError::Busy;
        let mut share = self.budget.share();
        // The caller holds the order as long as it waits.
        share.grow(COMMAND_BYTES + bytes_in_memory(order)).map_err(busy)?;
        let row = SaveRow::new(order, &event).map_err(|error| WriteError::Refused(error.into()))?;
        // The row has all of it.
        drop(event);
        share.grow(row.bytes()).map_err(busy)?;
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.command_limit;
        let decided = Arc::new(AtomicBool::new(false));
        let job = Job {
            row,
            deadline,
            unknown: false,
            failures: 0,
            decided: Arc::clone(&decided),
            answer,
            slot: Some(slot),
            share,
        };
        self.queue.send(job).map_err(|_closed| WriteError::Unavailable(CommitterGone.into()))?;
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

fn bytes_in_memory(order: &Order) -> usize {
    order.lines().as_slice().iter().map(|line| size_of::<OrderLine>() + line.sku().as_str().len()).sum()
}
