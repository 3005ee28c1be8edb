//! The write pipeline, in reading order:
//!
//! 1. [`PgOrderWriter`] accepts a write as a [`pending_write`].
//! 2. The [`batcher`] collects pending writes from the [`queue`], executes them as a [`batch`], and replies.
//! 3. [`resolve`] finds the outcome of writes that the batch did not store, or may have stored.

mod batch;
mod batch_bytes;
mod batcher;
mod find;
mod metrics;
mod pending_write;
mod queue;
mod resolve;
mod save_batch;
mod shared_text;
mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::OptionalExtension;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use service_kit::database::Database;
use service_kit::metrics::Registry;
use service_kit::tasks::CriticalTasks;
use service_kit::traces::TraceContext;
use shared_events::OrderEvent;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use self::find::Find;
pub use self::metrics::BUCKETS;
use self::metrics::WriteMetrics;
use self::pending_write::PendingWrite;
use self::resolve::Resolver;
use self::save_batch::SaveRow;
use self::trace::WriteTrace;
use super::row::OrderRow;
use crate::budget::{Budget, OverBudget};
use crate::domain::{CustomerId, Order, OrderLine};
use crate::port::{OrderWriter, SaveResult, WriteError};

/// The limits of a [`PgOrderWriter`].
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many writes may wait. Further ones are refused.
    pub write_queue: usize,
    /// The memory for writes that wait or are in flight. Writes that do not fit are refused.
    pub budget: Budget,
    /// The longest wait of a caller. After it, the result is a failure or an unknown outcome.
    pub write_deadline: Duration,
}

/// Stores orders in PostgreSQL, each with its event. Pending writes share statements and commits.
pub struct PgOrderWriter {
    database: Database,
    queue: mpsc::UnboundedSender<PendingWrite>,
    slots: Arc<Semaphore>,
    budget: Budget,
    write_deadline: Duration,
    metrics: Arc<WriteMetrics>,
}

/// The memory of a write besides its row and its order: the request, its task, and its slot in the queue.
const WRITE_BYTES: usize = 1024;

/// The batcher's task has ended. It is not known whether its last batch was stored.
#[derive(Debug, thiserror::Error)]
#[error("the group commit task has ended")]
struct BatcherGone;

/// The deadline passed while the write was queued. Nothing was stored, and nothing will be.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed while the write was queued")]
struct StillQueued;

impl PgOrderWriter {
    /// Commits batches over `commits`. Everything else uses `database`, so that it cannot delay a commit.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime. It starts the batcher's task, which ends once the writer is dropped and its queue is
    /// empty.
    #[must_use]
    pub fn start(
        commits: Database,
        database: Database,
        limits: Limits,
        tasks: &CriticalTasks,
        registry: &Registry,
    ) -> Self {
        let metrics = Arc::new(WriteMetrics::register(registry));
        // The slots and the budget bound it.
        let (queue, receiver) = mpsc::unbounded_channel();
        let resolver = Arc::new(Resolver::new(database.clone()));
        let batcher =
            batcher::run(receiver, commits, resolver, limits.budget.max_batch(), Arc::clone(&metrics));
        tasks.spawn("group commit", batcher);
        let slots = Arc::new(Semaphore::new(limits.write_queue));
        WriteMetrics::observe(registry, Arc::clone(&slots), limits.write_queue, limits.budget.clone());
        Self { database, queue, slots, budget: limits.budget, write_deadline: limits.write_deadline, metrics }
    }

    /// Queues the write, and waits for its outcome.
    async fn enqueue(&self, order: &Order, event: OrderEvent) -> Result<SaveResult, WriteError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| WriteError::Busy)?;
        let busy = |OverBudget| WriteError::Busy;
        let mut share = self.budget.share();
        // The caller holds the order while it waits.
        share.grow(WRITE_BYTES + bytes_in_memory(order)).map_err(busy)?;
        let context = TraceContext::current();
        let row = SaveRow::new(order, &event, context.as_ref());
        let row = row.map_err(|error| WriteError::Refused(error.into()))?;
        // The row holds the encoded event.
        drop(event);
        share.grow(row.bytes()).map_err(busy)?;
        let (reply, replied) = oneshot::channel();
        let deadline = Instant::now() + self.write_deadline;
        let withdrawn_or_started = Arc::new(AtomicBool::new(false));
        let write = PendingWrite {
            row,
            deadline,
            outcome_unknown: false,
            failures: 0,
            withdrawn_or_started: Arc::clone(&withdrawn_or_started),
            reply,
            slot: Some(slot),
            share,
            metrics: Arc::clone(&self.metrics),
            trace: context.map(WriteTrace::queued),
        };
        self.queue.send(write).map_err(|_closed| WriteError::Unavailable(BatcherGone.into()))?;
        match tokio::time::timeout_at(deadline.into(), replied).await {
            Ok(reply) => reply.unwrap_or_else(|_dropped| Err(WriteError::OutcomeUnknown(BatcherGone.into()))),
            Err(_elapsed) if !withdrawn_or_started.swap(true, Ordering::AcqRel) => {
                Err(WriteError::Unavailable(StillQueued.into()))
            }
            Err(elapsed) => Err(WriteError::OutcomeUnknown(elapsed.into())),
        }
    }
}

impl OrderWriter for PgOrderWriter {
    async fn save(&self, order: &Order, event: OrderEvent) -> Result<SaveResult, WriteError> {
        let result = self.enqueue(order, event).await;
        self.metrics.replied(&result);
        result
    }

    async fn find(&self, order_id: Uuid, owner: Option<&CustomerId>) -> Result<Option<Order>, WriteError> {
        let owner = owner.map(CustomerId::as_str);
        let row: Option<OrderRow> = self
            .database
            .read(|connection| {
                RunQueryDsl::get_result(Find { order_id, owner }, connection)
                    .map(OptionalExtension::optional)
                    .boxed()
            })
            .await
            // A read stores nothing, so no error leaves the outcome unknown.
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
