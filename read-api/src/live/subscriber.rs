//! A client with an open stream.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Duration, Instant};

use super::changes::Changes;
use super::delivery::{Delivery, Orders, reserve_share};
use super::report::Reason;
use super::{MAX_DELIVERIES, MAX_QUEUED_ORDERS};
use crate::model::{ReadPosition, ResumePoint};

/// The minimum time between two snapshots in one stream. While a customer has more changes than a stream can send,
/// the client gets the newest orders this often.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Subscriber {
    pub(super) customer_id: String,
    /// A client that has received everything sent so far can resume from here.
    pub(super) resume_point: ResumePoint,
    pub(super) state: State,
    last_snapshot: Option<Instant>,
    queue: mpsc::Sender<Delivery>,
    /// Limits the orders in `queue`.
    queue_limit: Arc<Semaphore>,
    _slot: OwnedSemaphorePermit,
}

/// The changes that a subscriber has been sent.
pub(super) enum State {
    /// Those up to this position, and none that the feed has read since.
    New(ReadPosition),
    /// All that the feed has read.
    CaughtUp,
    /// Some are missing, since this time. The next delivery is a snapshot.
    NeedsSnapshot(Reason, Instant),
}

/// The client reads too slowly: its queue is full.
pub(super) struct TooSlow;

impl Subscriber {
    pub(super) fn new(
        customer_id: String,
        (resume_point, position): (ResumePoint, ReadPosition),
        queue: mpsc::Sender<Delivery>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            customer_id,
            resume_point,
            state: State::New(position),
            last_snapshot: None,
            queue,
            queue_limit: Arc::new(Semaphore::new(MAX_QUEUED_ORDERS)),
            _slot: slot,
        }
    }

    pub(super) fn queue() -> (mpsc::Sender<Delivery>, mpsc::Receiver<Delivery>) {
        mpsc::channel(MAX_DELIVERIES)
    }

    /// Whether the client has closed the stream.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Whether changes are missing that only a snapshot can replace.
    pub(super) fn needs_snapshot(&self) -> bool {
        matches!(self.state, State::NeedsSnapshot(..))
    }

    /// The position of a new subscriber. The feed may not have read all changes since then.
    pub(super) fn own_position(&self) -> Option<&ReadPosition> {
        match &self.state {
            State::New(position) => Some(position),
            State::CaughtUp | State::NeedsSnapshot(..) => None,
        }
    }

    /// Some changes cannot be sent.
    pub(super) fn require_snapshot(&mut self, reason: Reason) {
        // Keep the time of the first cause: a later one must not put this subscriber behind others.
        let since = self.waiting_since().unwrap_or_else(Instant::now);
        self.state = State::NeedsSnapshot(reason, since);
    }

    /// The time since when changes are missing.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        match self.state {
            State::NeedsSnapshot(_, since) => Some(since),
            State::New(_) | State::CaughtUp => None,
        }
    }

    /// The reason to send a snapshot now. A client with unread deliveries gets it later, so a queue never holds two
    /// snapshots. Snapshots can therefore do without the budget, and be sent when it is used up.
    pub(super) fn snapshot_due(&self) -> Option<Reason> {
        let has_read_all = self.queue.capacity() == self.queue.max_capacity();
        let is_due = self.last_snapshot.is_none_or(|last| last.elapsed() >= SNAPSHOT_PAUSE);
        match self.state {
            State::NeedsSnapshot(reason, _) if has_read_all && is_due => Some(reason),
            _ => None,
        }
    }

    /// Sends changes under the old resume point: only an event after the last change may carry a new one.
    pub(super) fn send_changes(&mut self, changes: &Changes) -> Result<(), TooSlow> {
        match changes {
            Changes::None => Ok(()),
            Changes::Some(orders) => {
                let share = reserve_share(&self.queue_limit, orders.len()).ok_or(TooSlow)?;
                self.send(Delivery::orders(self.resume_point, Arc::clone(orders), share))
            }
            Changes::Unsendable(reason) => {
                self.require_snapshot(*reason);
                Ok(())
            }
        }
    }

    pub(super) fn send_snapshot(
        &mut self,
        orders: &Arc<Orders>,
        position: &ReadPosition,
    ) -> Result<(), TooSlow> {
        self.resume_point = position.resume_point();
        self.state = State::New(position.clone());
        self.last_snapshot = Some(Instant::now());
        self.send(Delivery::snapshot(self.resume_point, Arc::clone(orders)))
    }

    pub(super) fn send_heartbeat(&self) -> Result<(), TooSlow> {
        self.send(Delivery::heartbeat(self.resume_point))
    }

    fn send(&self, delivery: Delivery) -> Result<(), TooSlow> {
        self.queue.try_send(delivery).map_err(|_| TooSlow)
    }
}
