//! Group commit: while one transaction is in flight, further commands wait; when it ends, all that wait and fit go in the next, and
//! those that were in it are answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::batch_bytes::BatchBytes;
use super::commit::{Attempt, Committer};
use super::job::Job;
use super::waiting::Waiting;

/// Commits what comes in, batch after batch, until the queue is closed and empty. A lone command goes at once: there is no
/// timer, the transaction in flight is all that gathers a batch. No batch has more than `max_bytes`, but for a single command.
pub(super) async fn run(
    mut queue: mpsc::UnboundedReceiver<Job>,
    committer: Arc<Committer>,
    max_bytes: usize,
) {
    let mut waiting = Waiting::default();
    let mut batch_bytes = BatchBytes::up_to(max_bytes);
    let mut tried = Tried::default();
    loop {
        // There is no next batch to send first.
        if waiting.is_empty() && queue.is_empty() {
            tried.answer(&committer);
            let Some(job) = queue.recv().await else { return };
            waiting.push(job);
        }
        while let Ok(job) = queue.try_recv() {
            waiting.push(job);
        }
        let batch = waiting.next_batch(batch_bytes.limit());
        let versions: HashMap<_, _> = batch.iter().map(|job| (job.row.order_id, job.row.version)).collect();
        let bytes = batch.iter().map(|job| job.row.bytes()).sum();
        let attempting = async {
            let start = Instant::now();
            let attempt = committer.attempt(batch).await;
            (attempt, start.elapsed())
        };
        let answering = async {
            // PostgreSQL is to work on the next batch while the one before is answered: with this turn the connection's task
            // sends it. If it cannot be sent yet nobody waits for that.
            tokio::task::yield_now().await;
            tried.answer(&committer);
        };
        let ((attempt, took), ()) = tokio::join!(biased; attempting, answering);
        batch_bytes.record(bytes, took);
        tried = Tried { attempt: Some(attempt), overtaken: waiting.take_overtaken(&versions) };
    }
}

/// Commands that were tried, or overtaken by those, and have not been answered.
#[derive(Default)]
struct Tried {
    attempt: Option<Attempt>,
    overtaken: Vec<Job>,
}

impl Tried {
    fn answer(&mut self, committer: &Arc<Committer>) {
        let Self { attempt, overtaken } = std::mem::take(self);
        let mut unsettled = attempt.map(Attempt::answer).unwrap_or_default();
        unsettled.extend(overtaken);
        if !unsettled.is_empty() {
            // What was not stored is looked into beside the next commit, and holds nobody up.
            tokio::spawn(Arc::clone(committer).settle_all(unsettled));
        }
    }
}
