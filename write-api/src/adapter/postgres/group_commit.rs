//! Group commit: while one transaction is in flight, further commands wait; when it ends, all that wait go in the next.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::commit::Committer;
use super::job::Job;

/// The most commands that share a transaction. More gain little: from here on PostgreSQL's work per order counts.
const MAX_BATCH: usize = 256;

/// Commits what comes in, batch after batch, until the queue is closed and empty. A lone command goes at once: there is no
/// timer, the transaction in flight is all that gathers a batch.
pub(super) async fn run(mut queue: mpsc::Receiver<Job>, committer: Arc<Committer>) {
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() {
            let Some(job) = queue.recv().await else { return };
            waiting.push(job);
        }
        while waiting.len() < MAX_BATCH
            && let Ok(job) = queue.try_recv()
        {
            waiting.push(job);
        }
        let batch = take_batch(&mut waiting);
        for job in committer.attempt(batch).await {
            // What has to be tried again is tried alone, and holds nobody up.
            tokio::spawn(Arc::clone(&committer).settle(job));
        }
    }
}

/// The next commands, one per order: the second command for an order waits for the next batch.
fn take_batch(waiting: &mut Vec<Job>) -> Vec<Job> {
    let mut orders = HashSet::with_capacity(waiting.len());
    let (batch, later) = waiting.drain(..).partition(|job| orders.insert(job.row.order_id));
    *waiting = later;
    batch
}
