//! Stores orders, in this order: [`PgOrderWriter`] accepts a write as a [`pending_write`]; the [`batcher`] collects from the
//! [`queue`], executes a [`batch`], and replies; [`resolve`] finds out what became of writes that the batch did not store.

mod batch;
mod batch_bytes;
mod batcher;
mod pending_write;
mod queue;
mod resolve;
mod save_batch;
mod shared_text;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use service_kit::database::Database;
use service_kit::tasks::CriticalTasks;
use shared_events::OrderEvent;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use self::pending_write::PendingWrite;
use self::resolve::Resolver;
use self::save_batch::SaveRow;
use super::row::OrderRow;
use super::schema::orders;
use crate::budget::{Budget, OverBudget};
use crate::domain::{Order, OrderLine};
use crate::port::{OrderWriter, Saved, WriteError};

/// What a [`PgOrderWriter`] allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Writes that may wait; further ones are refused.
    pub queue: usize,
    /// The memory for writes that wait or are being stored; what does not fit is refused.
    pub budget: Budget,
    /// How long a write may take until its caller gets a failure, or an unknown outcome.
    pub deadline: Duration,
}

/// Stores orders in PostgreSQL, each with its event; all that wait go in one statement and one commit.
pub struct PgOrderWriter {
    database: Database,
    queue: mpsc::UnboundedSender<PendingWrite>,
    slots: Arc<Semaphore>,
    budget: Budget,
    deadline: Duration,
}

/// What a write takes beside its row and its order: the request, the task that serves it, and its slot in the queue.
const WRITE_BYTES: usize = 1024;

/// The batcher's task has died. What it had begun may be stored or not.
#[derive(Debug, thiserror::Error)]
#[error("the group commit task has ended")]
struct BatcherGone;

/// The deadline passed while the write was waiting. It was withdrawn: nothing was stored, nor will be.
#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed while other commands were being stored")]
struct StillWaiting;

impl PgOrderWriter {
    /// A writer that commits batches over `commits`, and does everything else over `database`, which must not delay a commit.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: it starts the batcher's task, which ends when the writer is dropped and its queue is empty.
    #[must_use]
    pub fn start(commits: Database, database: Database, limits: Limits, tasks: &CriticalTasks) -> Self {
        // Slots and the budget limit what is in it.
        let (queue, receiver) = mpsc::unbounded_channel();
        let resolver = Arc::new(Resolver::new(database.clone()));
        let batcher = batcher::run(receiver, commits, resolver, limits.budget.max_batch());
        tasks.spawn("group commit", batcher);
        let slots = Arc::new(Semaphore::new(limits.queue));
        Self { database, queue, slots, budget: limits.budget, deadline: limits.deadline }
    }
}

impl OrderWriter for PgOrderWriter {
    async fn save(&self, order: &Order, event: OrderEvent) -> Result<Saved, WriteError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| WriteError::Busy)?;
        let busy = |OverBudget| WriteError::Busy;
        let mut share = self.budget.share();
        // The caller holds the order while it waits.
        share.grow(WRITE_BYTES + bytes_in_memory(order)).map_err(busy)?;
        let row = SaveRow::new(order, &event).map_err(|error| WriteError::Refused(error.into()))?;
        // The row has all of it.
        drop(event);
        share.grow(row.bytes()).map_err(busy)?;
        let (reply, replied) = oneshot::channel();
        let deadline = Instant::now() + self.deadline;
        let claimed = Arc::new(AtomicBool::new(false));
        let write = PendingWrite {
            row,
            deadline,
            outcome_unknown: false,
            failures: 0,
            claimed: Arc::clone(&claimed),
            reply,
            slot: Some(slot),
            share,
        };
        self.queue.send(write).map_err(|_closed| WriteError::Unavailable(BatcherGone.into()))?;
        match tokio::time::timeout_at(deadline.into(), replied).await {
            Ok(reply) => reply.unwrap_or_else(|_dropped| Err(WriteError::OutcomeUnknown(BatcherGone.into()))),
            Err(_elapsed) if !claimed.swap(true, Ordering::AcqRel) => {
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

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::Unavailable(error.into())
}

fn outcome_unknown(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::OutcomeUnknown(error.into())
}

fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::Refused(error.into())
}
