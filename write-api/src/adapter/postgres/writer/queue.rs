//! The queue of pending writes, and the choice of the next batch.

use std::collections::{HashMap, HashSet, VecDeque};

use uuid::Uuid;

use super::pending_write::PendingWrite;
use crate::budget::SMALL_MAX;

/// The most writes in a batch. Larger batches gain little: PostgreSQL's work per order dominates.
const MAX_BATCH: usize = 256;

/// While small writes wait, a batch of large ones may have only a quarter of the bytes, so that it does not delay them
/// long.
const LARGE_DIVISOR: usize = 4;

/// Two queues, one for small and one for large writes, which alternate.
#[derive(Default)]
pub(super) struct WriteQueue {
    small: VecDeque<PendingWrite>,
    large: VecDeque<PendingWrite>,
    large_is_next: bool,
}

impl WriteQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    pub(super) fn push(&mut self, write: PendingWrite) {
        let queue = if write.row.bytes() > SMALL_MAX { &mut self.large } else { &mut self.small };
        queue.push_back(write);
    }

    /// The next batch: at most `max_bytes`, or a single larger write. A batch has one write per order at most; a second
    /// one waits for a later batch.
    pub(super) fn next_batch(&mut self, max_bytes: usize) -> Vec<PendingWrite> {
        for queue in [&mut self.small, &mut self.large] {
            queue.retain(|write| !write.is_withdrawn());
        }
        let is_large = self.small.is_empty() || (self.large_is_next && !self.large.is_empty());
        self.large_is_next = !is_large;
        if is_large {
            let part = if self.small.is_empty() { 1 } else { LARGE_DIVISOR };
            fill_batch(&mut self.large, max_bytes / part)
        } else {
            fill_batch(&mut self.small, max_bytes)
        }
    }

    /// Removes queued writes that compete with one that was just attempted: of the same order, with the same or a lower
    /// version. One lookup resolves them all; otherwise each would need a batch of its own and delay other orders.
    pub(super) fn remove_competing(&mut self, versions: &HashMap<Uuid, i32>) -> Vec<PendingWrite> {
        let is_competing = |write: &PendingWrite| {
            versions.get(&write.row.order_id).is_some_and(|attempted| write.row.version <= *attempted)
        };
        let mut competing = Vec::new();
        for queue in [&mut self.small, &mut self.large] {
            if queue.iter().any(is_competing) {
                let (removed, left): (Vec<_>, Vec<_>) = queue.drain(..).partition(is_competing);
                *queue = left.into();
                competing.extend(removed.into_iter().filter_map(PendingWrite::try_start));
            }
        }
        competing
    }
}

fn fill_batch(queue: &mut VecDeque<PendingWrite>, max_bytes: usize) -> Vec<PendingWrite> {
    let (mut batch, mut bytes, mut orders) = (Vec::new(), 0, HashSet::new());
    let mut later = Vec::new();
    while let Some(write) = queue.pop_front() {
        let has_room = batch.len() < MAX_BATCH && bytes + write.row.bytes() <= max_bytes;
        if !batch.is_empty() && !has_room {
            queue.push_front(write);
            break;
        }
        if orders.contains(&write.row.order_id) {
            later.push(write);
        } else if let Some(write) = write.try_start() {
            orders.insert(write.row.order_id);
            bytes += write.row.bytes();
            batch.push(write);
        }
    }
    for write in later.into_iter().rev() {
        queue.push_front(write);
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use chrono::Utc;
    use service_kit::metrics::Registry;
    use tokio::sync::oneshot;

    use super::super::metrics::WriteMetrics;
    use super::super::save_batch::SaveRow;
    use super::*;
    use crate::budget::Budget;
    use crate::domain::{Cents, CustomerId, Order, OrderLine, OrderLines, Quantity, Sku};

    const MAX_BYTES: usize = 1 << 20;

    fn write(id: u128, lines: usize) -> PendingWrite {
        let line = OrderLine::new(
            Sku::new("S".repeat(64)).unwrap(),
            Quantity::new(1).unwrap(),
            Cents::new(1).unwrap(),
        );
        let lines = OrderLines::new(vec![line.unwrap(); lines]).unwrap();
        let customer = CustomerId::new("customer".to_owned()).unwrap();
        let (order, event) = Order::place(Uuid::from_u128(id), customer, lines, None, Utc::now());
        PendingWrite {
            row: SaveRow::new(&order, &event, None).unwrap(),
            deadline: Instant::now(),
            outcome_unknown: false,
            failures: 0,
            withdrawn_or_started: Arc::new(AtomicBool::new(false)),
            reply: oneshot::channel().0,
            slot: None,
            share: Budget::new(MAX_BYTES).share(),
            metrics: Arc::new(WriteMetrics::register(&Registry::new(&[]).unwrap())),
            trace: None,
        }
    }

    fn queue(writes: impl IntoIterator<Item = PendingWrite>) -> WriteQueue {
        let mut queue = WriteQueue::default();
        writes.into_iter().for_each(|write| queue.push(write));
        queue
    }

    fn ids(batch: &[PendingWrite]) -> Vec<u128> {
        batch.iter().map(|write| write.row.order_id.as_u128()).collect()
    }

    #[test]
    fn small_and_large_writes_alternate_and_large_ones_get_part_of_the_bytes() {
        let large = write(0, 500).row.bytes();
        let mut queue = queue((1..=20).map(|id| write(id, 500)));
        for id in 101..=103 {
            queue.push(write(id, 1));
        }
        let fitting = MAX_BYTES / large;
        assert_eq!(ids(&queue.next_batch(MAX_BYTES)), [101, 102, 103], "small ones first");
        queue.push(write(104, 1));
        let part = queue.next_batch(MAX_BYTES);
        assert_eq!(part.len(), (fitting / LARGE_DIVISOR).max(1));
        assert_eq!(ids(&queue.next_batch(MAX_BYTES)), [104]);
        assert_eq!(queue.next_batch(MAX_BYTES).len(), fitting, "no small write waits");
        assert_eq!(queue.next_batch(1).len(), 1, "a single write of any size is a batch");
    }

    #[test]
    fn a_batch_has_a_limited_number_of_writes() {
        let mut queue = queue((0..300).map(|id| write(id, 1)));
        assert_eq!(queue.next_batch(MAX_BYTES).len(), MAX_BATCH);
        assert_eq!(queue.next_batch(MAX_BYTES).len(), 300 - MAX_BATCH);
        assert!(queue.is_empty());
    }

    #[test]
    fn the_second_write_of_an_order_keeps_its_position() {
        let mut queue = queue([1, 1, 2, 1, 3].map(|id| write(id, 1)));
        assert_eq!(ids(&queue.next_batch(MAX_BYTES)), [1, 2, 3]);
        queue.push(write(4, 1));
        assert_eq!(ids(&queue.next_batch(MAX_BYTES)), [1, 4]);
        let versions = HashMap::from([(Uuid::from_u128(1), 1)]);
        assert_eq!(ids(&queue.remove_competing(&versions)), [1]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_write_whose_caller_has_given_up_is_dropped_from_both_queues() {
        let (small, large) = (write(1, 1), write(2, 500));
        for write in [&small, &large] {
            write.withdrawn_or_started.store(true, Ordering::Release);
        }
        let mut queue = queue([small, large, write(3, 1)]);
        assert_eq!(ids(&queue.next_batch(MAX_BYTES)), [3]);
        assert!(queue.is_empty());
    }
}
