//! Group commit: while one batch commits, further writes gather for the next.
//!
//! ```text
//! PostgreSQL | executes batch 1 | executes batch 2   | executes batch 3
//! batcher    |                  | replies to batch 1 | replies to batch 2
//! queue      | gathers batch 2  | gathers batch 3    | gathers batch 4
//! resolver   |                  | resolves what batch 1 did not store ...
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use service_kit::database::Database;
use tokio::sync::mpsc;

use super::batch::ExecutedBatch;
use super::batch_bytes::BatchBytes;
use super::metrics::WriteMetrics;
use super::pending_write::PendingWrite;
use super::queue::WriteQueue;
use super::resolve::Resolver;

/// Commits arriving writes in batches until the channel is closed and empty. There is no timer: a lone write is
/// executed at once, and writes gather only while a batch is in flight. No batch exceeds `max_bytes`, except for a
/// single larger write.
pub(super) async fn run(
    mut arriving: mpsc::UnboundedReceiver<PendingWrite>,
    commits: Database,
    resolver: Arc<Resolver>,
    max_bytes: usize,
    metrics: Arc<WriteMetrics>,
) {
    let mut queue = WriteQueue::default();
    let mut batch_bytes = BatchBytes::new(max_bytes);
    let mut unreplied = Unreplied::default();
    loop {
        if queue.is_empty() && arriving.is_empty() {
            // No batch to execute: reply to the previous one before waiting.
            unreplied.reply(&resolver);
            let Some(write) = arriving.recv().await else { return };
            queue.push(write);
        }
        while let Ok(write) = arriving.try_recv() {
            queue.push(write);
        }
        let batch = queue.next_batch(batch_bytes.limit());
        let versions: HashMap<_, _> =
            batch.iter().map(|write| (write.row.order_id, write.row.version)).collect();
        let writes = batch.len();
        let bytes = batch.iter().map(|write| write.row.bytes()).sum();
        let replying = async {
            // Yield once so that the connection's task sends this batch: PostgreSQL works while the previous batch gets
            // its replies.
            tokio::task::yield_now().await;
            unreplied.reply(&resolver);
        };
        let ((executed, elapsed), ()) = tokio::join!(biased; execute(&commits, batch), replying);
        batch_bytes.record(bytes, elapsed);
        if writes > 0 {
            metrics.executed(writes, elapsed);
        }
        unreplied = Unreplied { executed: Some(executed), competing: queue.remove_competing(&versions) };
    }
}

async fn execute(commits: &Database, batch: Vec<PendingWrite>) -> (ExecutedBatch, Duration) {
    let start = Instant::now();
    let executed = ExecutedBatch::execute(commits, batch).await;
    (executed, start.elapsed())
}

/// The previous batch, which has no replies yet, and queued writes that compete with its writes.
#[derive(Default)]
struct Unreplied {
    executed: Option<ExecutedBatch>,
    competing: Vec<PendingWrite>,
}

impl Unreplied {
    fn reply(&mut self, resolver: &Arc<Resolver>) {
        let Self { executed, competing } = std::mem::take(self);
        let mut unresolved = executed.map(ExecutedBatch::reply).unwrap_or_default();
        unresolved.extend(competing);
        if !unresolved.is_empty() {
            // In a task of its own, so that it does not delay the next batch.
            tokio::spawn(Arc::clone(resolver).resolve_all(unresolved));
        }
    }
}
