//! Group commit: while one transaction is in flight, further commands wait; when it ends, all that wait go in the next, and those
//! that were in it are answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::commit::{Attempt, Committer};
use super::job::Job;

/// The most commands that share a transaction. More gain little: from here on PostgreSQL's work per order counts.
const MAX_BATCH: usize = 256;

/// Commits what comes in, batch after batch, until the queue is closed and empty. A lone command goes at once: there is no
/// timer, the transaction in flight is all that gathers a batch.
pub(super) async fn run(mut queue: mpsc::Receiver<Job>, committer: Arc<Committer>) {
    let mut waiting = Vec::new();
    let mut tried = Tried::default();
    loop {
        // There is no next batch to send first.
        if waiting.is_empty() && queue.is_empty() {
            tried.answer(&committer);
            let Some(job) = queue.recv().await else { return };
            waiting.push(job);
        }
        while waiting.len() < MAX_BATCH
            && let Ok(job) = queue.try_recv()
        {
            waiting.push(job);
        }
        let batch = take_batch(&mut waiting);
        let versions: HashMap<_, _> = batch.iter().map(|job| (job.row.order_id, job.row.version)).collect();
        let answering = async {
            // PostgreSQL is to work on the next batch while the one before is answered: with this turn the connection's task
            // sends it. If it cannot be sent yet nobody waits for that.
            tokio::task::yield_now().await;
            tried.answer(&committer);
        };
        let (attempt, ()) = tokio::join!(biased; committer.attempt(batch), answering);
        tried = Tried { attempt: Some(attempt), overtaken: take_overtaken(&mut waiting, &versions) };
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

/// The next commands, one per order: the second command for an order waits for the next batch.
fn take_batch(waiting: &mut Vec<Job>) -> Vec<Job> {
    let mut orders = HashSet::with_capacity(waiting.len());
    let alive = waiting.drain(..).filter(|job| !job.decided.load(Ordering::Acquire));
    let (batch, later): (Vec<_>, Vec<_>) = alive.partition(|job| orders.insert(job.row.order_id));
    *waiting = later;
    batch.into_iter().filter(Job::take_up).collect()
}

/// Those that wait for a version that has just been tried: a hundred twins are told by one look what became of the first,
/// rather than tried in a hundred batches, in which they would keep others waiting.
fn take_overtaken(waiting: &mut Vec<Job>, versions: &HashMap<Uuid, i32>) -> Vec<Job> {
    let is_overtaken =
        |job: &Job| versions.get(&job.row.order_id).is_some_and(|tried| job.row.version <= *tried);
    let (overtaken, later): (Vec<_>, Vec<_>) = waiting.drain(..).partition(is_overtaken);
    *waiting = later;
    overtaken.into_iter().filter(Job::take_up).collect()
}
