//! Commands that wait to be stored, and which of them go next.

use std::collections::{HashMap, HashSet, VecDeque};

use uuid::Uuid;

use super::job::Job;
use crate::budget::SMALL_MAX;

/// The most commands that share a transaction. More gain little: from here on PostgreSQL's work per order counts.
const MAX_BATCH: usize = 256;

/// While small commands wait as well, large ones get this part of what a batch may have: small ones wait for one such batch at
/// most, and large ones get their share in bytes, not in commands.
const LARGE_PART: usize = 4;

/// Two queues, by size, which are served in turn.
#[derive(Default)]
pub(super) struct Waiting {
    small: VecDeque<Job>,
    large: VecDeque<Job>,
    is_turn_of_large: bool,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    pub(super) fn push(&mut self, job: Job) {
        let queue = if job.row.bytes() > SMALL_MAX { &mut self.large } else { &mut self.small };
        queue.push_back(job);
    }

    /// The next commands, of at most `max_bytes` together, or one that has more by itself. There is one per order: the second
    /// command for an order waits for another batch.
    pub(super) fn next_batch(&mut self, max_bytes: usize) -> Vec<Job> {
        for queue in [&mut self.small, &mut self.large] {
            queue.retain(|job| !job.is_given_up());
        }
        let is_large = self.small.is_empty() || (self.is_turn_of_large && !self.large.is_empty());
        self.is_turn_of_large = !is_large;
        if is_large {
            let part = if self.small.is_empty() { 1 } else { LARGE_PART };
            take(&mut self.large, max_bytes / part)
        } else {
            take(&mut self.small, max_bytes)
        }
    }

    /// Takes out those that wait for a version that has just been tried: a hundred commands for the same order are answered by
    /// one lookup, rather than tried in a hundred batches, in which they would keep others waiting.
    pub(super) fn take_overtaken(&mut self, versions: &HashMap<Uuid, i32>) -> Vec<Job> {
        let is_overtaken =
            |job: &Job| versions.get(&job.row.order_id).is_some_and(|tried| job.row.version <= *tried);
        let mut overtaken = Vec::new();
        for queue in [&mut self.small, &mut self.large] {
            if queue.iter().any(is_overtaken) {
                let (taken, left): (Vec<_>, Vec<_>) = queue.drain(..).partition(is_overtaken);
                *queue = left.into();
                overtaken.extend(taken.into_iter().filter_map(Job::claim));
            }
        }
        overtaken
    }
}

fn take(queue: &mut VecDeque<Job>, max_bytes: usize) -> Vec<Job> {
    let (mut batch, mut bytes, mut orders) = (Vec::new(), 0, HashSet::new());
    let mut later = Vec::new();
    while let Some(job) = queue.pop_front() {
        let has_room = batch.len() < MAX_BATCH && bytes + job.row.bytes() <= max_bytes;
        if !batch.is_empty() && !has_room {
            queue.push_front(job);
            break;
        }
        if orders.contains(&job.row.order_id) {
            later.push(job);
        } else if let Some(job) = job.claim() {
            orders.insert(job.row.order_id);
            bytes += job.row.bytes();
            batch.push(job);
        }
    }
    for job in later.into_iter().rev() {
        queue.push_front(job);
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use chrono::Utc;
    use tokio::sync::oneshot;

    use super::super::save_batch::SaveRow;
    use super::*;
    use crate::budget::Budget;
    use crate::domain::{Cents, CustomerId, Order, OrderLine, OrderLines, Quantity, Sku};

    const MAX_BYTES: usize = 1 << 20;

    fn job(id: u128, lines: usize) -> Job {
        let line = OrderLine::new(
            Sku::new("S".repeat(64)).unwrap(),
            Quantity::new(1).unwrap(),
            Cents::new(1).unwrap(),
        );
        let lines = OrderLines::new(vec![line.unwrap(); lines]).unwrap();
        let customer = CustomerId::new("customer".to_owned()).unwrap();
        let (order, event) = Order::place(Uuid::from_u128(id), customer, lines, Utc::now());
        Job {
            row: SaveRow::new(&order, &event).unwrap(),
            deadline: Instant::now(),
            unknown: false,
            failures: 0,
            decided: Arc::new(AtomicBool::new(false)),
            answer: oneshot::channel().0,
            slot: None,
            share: Budget::new(MAX_BYTES).share(),
        }
    }

    fn waiting(jobs: impl IntoIterator<Item = Job>) -> Waiting {
        let mut waiting = Waiting::default();
        jobs.into_iter().for_each(|job| waiting.push(job));
        waiting
    }

    fn ids(batch: &[Job]) -> Vec<u128> {
        batch.iter().map(|job| job.row.order_id.as_u128()).collect()
    }

    #[test]
    fn small_and_large_ones_are_served_in_turn_and_large_ones_get_a_part_of_the_bytes() {
        let large = job(0, 500).row.bytes();
        let mut waiting = waiting((1..=20).map(|id| job(id, 500)));
        for id in 101..=103 {
            waiting.push(job(id, 1));
        }
        let fitting = MAX_BYTES / large;
        assert_eq!(ids(&waiting.next_batch(MAX_BYTES)), [101, 102, 103], "small ones first");
        waiting.push(job(104, 1));
        let part = waiting.next_batch(MAX_BYTES);
        assert_eq!(part.len(), (fitting / LARGE_PART).max(1));
        assert_eq!(ids(&waiting.next_batch(MAX_BYTES)), [104]);
        assert_eq!(waiting.next_batch(MAX_BYTES).len(), fitting, "nothing small waits");
        assert_eq!(waiting.next_batch(1).len(), 1, "one goes, however large");
    }

    #[test]
    fn no_more_go_than_share_a_transaction_well() {
        let mut waiting = waiting((0..300).map(|id| job(id, 1)));
        assert_eq!(waiting.next_batch(MAX_BYTES).len(), MAX_BATCH);
        assert_eq!(waiting.next_batch(MAX_BYTES).len(), 300 - MAX_BATCH);
        assert!(waiting.is_empty());
    }

    #[test]
    fn the_second_command_for_an_order_waits_in_its_place() {
        let mut waiting = waiting([1, 1, 2, 1, 3].map(|id| job(id, 1)));
        assert_eq!(ids(&waiting.next_batch(MAX_BYTES)), [1, 2, 3]);
        waiting.push(job(4, 1));
        assert_eq!(ids(&waiting.next_batch(MAX_BYTES)), [1, 4]);
        let versions = HashMap::from([(Uuid::from_u128(1), 1)]);
        assert_eq!(ids(&waiting.take_overtaken(&versions)), [1]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn what_its_caller_has_given_up_is_dropped_from_both_queues() {
        let (small, large) = (job(1, 1), job(2, 500));
        for job in [&small, &large] {
            job.decided.store(true, Ordering::Release);
        }
        let mut waiting = waiting([small, large, job(3, 1)]);
        assert_eq!(ids(&waiting.next_batch(MAX_BYTES)), [3]);
        assert!(waiting.is_empty());
    }
}
