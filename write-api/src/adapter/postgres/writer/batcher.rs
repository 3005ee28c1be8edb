//! Group commit: while one batch is being committed, further writes wait; when it ends, all that wait and fit go in the next.
//!
//! ```text
//! PostgreSQL | batch 1 ........ | batch 2 ........ | batch 3 ........
//! batcher    | collect batch 2  | reply to batch 1 | reply to batch 2
//!            |                  | collect batch 3  | collect batch 4
//! resolver   |                  | what batch 1 did not store ........
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use service_kit::database::Database;
use tokio::sync::mpsc;

use super::batch::Attempt;
use super::batch_bytes::BatchBytes;
use super::pending_write::PendingWrite;
use super::queue::WriteQueue;
use super::resolve::Resolver;

/// Commits what arrives, batch after batch, until the channel is closed and empty. A lone write goes at once: there is no timer,
/// the batch in flight is all that gathers the next one. No batch has more than `max_bytes`, except for a single write.
pub(super) async fn run(
    mut arriving: mpsc::UnboundedReceiver<PendingWrite>,
    commits: Database,
    resolver: Arc<Resolver>,
    max_bytes: usize,
) {
    let mut queue = WriteQueue::default();
    let mut batch_bytes = BatchBytes::up_to(max_bytes);
    let mut attempted = Attempted::default();
    loop {
        if queue.is_empty() && arriving.is_empty() {
            // There is no next batch to send first.
            attempted.reply(&resolver);
            let Some(write) = arriving.recv().await else { return };
            queue.push(write);
        }
        while let Ok(write) = arriving.try_recv() {
            queue.push(write);
        }
        let batch = queue.next_batch(batch_bytes.limit());
        let versions: HashMap<_, _> =
            batch.iter().map(|write| (write.row.order_id, write.row.version)).collect();
        let bytes = batch.iter().map(|write| write.row.bytes()).sum();
        let replying = async {
            // The connection's task sends the batch first, so that PostgreSQL works while the previous batch gets its replies.
            tokio::task::yield_now().await;
            attempted.reply(&resolver);
        };
        let ((attempt, elapsed), ()) = tokio::join!(biased; execute(&commits, batch), replying);
        batch_bytes.record(bytes, elapsed);
        attempted = Attempted { attempt: Some(attempt), duplicates: queue.take_duplicates(&versions) };
    }
}

async fn execute(commits: &Database, batch: Vec<PendingWrite>) -> (Attempt, Duration) {
    let start = Instant::now();
    let attempt = Attempt::execute(commits, batch).await;
    (attempt, start.elapsed())
}

/// Writes of the previous batch that have no reply yet, and queued duplicates of them.
#[derive(Default)]
struct Attempted {
    attempt: Option<Attempt>,
    duplicates: Vec<PendingWrite>,
}

impl Attempted {
    fn reply(&mut self, resolver: &Arc<Resolver>) {
        let Self { attempt, duplicates } = std::mem::take(self);
        let mut unresolved = attempt.map(Attempt::reply).unwrap_or_default();
        unresolved.extend(duplicates);
        if !unresolved.is_empty() {
            // Beside the next commit, so that it delays no other write.
            tokio::spawn(Arc::clone(resolver).resolve_all(unresolved));
        }
    }
}
