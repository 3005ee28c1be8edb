//! A client that watches a customer.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Duration, Instant};

use super::delivery::{Delivery, Orders, Room, reserve};
use super::report::Reason;
use super::{MAX_CHANGES, MAX_DELIVERIES, MAX_QUEUED};
use crate::model::{Mark, OrderSummary, ReadPosition};

/// The shortest time between two snapshots in one stream. Where more changes than a stream carries, for however long, a client
/// is sent its newest orders this often.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Subscriber {
    pub(super) customer_id: String,
    /// A client that has received everything up to now may come back with this.
    pub(super) mark: Mark,
    pub(super) state: State,
    last_snapshot: Option<Instant>,
    queue: mpsc::Sender<Delivery>,
    room: Arc<Semaphore>,
    _slot: OwnedSemaphorePermit,
}

/// What a subscriber has been sent.
pub(super) enum State {
    /// What was read up to this position, and nothing that the feed has read since.
    New(ReadPosition),
    /// What the feed has read.
    InStep,
    /// Not everything, since then: it gets a snapshot next.
    Lost(Reason, Instant),
}

/// The client reads too slowly: its queue is full.
pub(super) struct TooSlow;

impl Subscriber {
    pub(super) fn new(
        customer_id: String,
        (mark, position): (Mark, ReadPosition),
        queue: mpsc::Sender<Delivery>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            customer_id,
            mark,
            state: State::New(position),
            last_snapshot: None,
            queue,
            room: Arc::new(Semaphore::new(MAX_QUEUED)),
            _slot: slot,
        }
    }

    pub(super) fn queue() -> (mpsc::Sender<Delivery>, mpsc::Receiver<Delivery>) {
        mpsc::channel(MAX_DELIVERIES)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }

    /// Whether it has been sent all changes that the feed has read.
    pub(super) fn has_all(&self) -> bool {
        !matches!(self.state, State::Lost(..))
    }

    /// Where its changes begin that the feed may not have read yet.
    pub(super) fn own_position(&self) -> Option<&ReadPosition> {
        match &self.state {
            State::New(position) => Some(position),
            State::InStep | State::Lost(..) => None,
        }
    }

    /// It could not be sent everything.
    pub(super) fn lose(&mut self, reason: Reason) {
        // A later cause does not put it behind others.
        let since = self.lost_at().unwrap_or_else(Instant::now);
        self.state = State::Lost(reason, since);
    }

    /// Since when it has not been sent everything.
    pub(super) fn lost_at(&self) -> Option<Instant> {
        match self.state {
            State::Lost(_, since) => Some(since),
            State::New(_) | State::InStep => None,
        }
    }

    /// Why it should be sent a snapshot now. One that has not read yet what is queued gets it later: a snapshot takes no room of
    /// what all queues may hold, so that it can be sent when that is used up.
    pub(super) fn needs_snapshot(&self) -> Option<Reason> {
        let has_read_all = self.queue.capacity() == self.queue.max_capacity();
        let is_due = self.last_snapshot.is_none_or(|last| last.elapsed() >= SNAPSHOT_PAUSE);
        match self.state {
            State::Lost(reason, _) if has_read_all && is_due => Some(reason),
            _ => None,
        }
    }

    /// Sends what has changed. The mark stays: only what is sent after the last of the changes may carry a new one.
    pub(super) fn send_changes(&mut self, changes: &Changes) -> Result<(), TooSlow> {
        match changes {
            Changes::None => Ok(()),
            Changes::Some(orders) => {
                let room = reserve(&self.room, orders.len()).ok_or(TooSlow)?;
                self.send(Delivery::orders(self.mark, Arc::clone(orders), room))
            }
            Changes::Unsendable(reason) => {
                self.lose(*reason);
                Ok(())
            }
        }
    }

    pub(super) fn send_snapshot(
        &mut self,
        orders: &Arc<Orders>,
        position: &ReadPosition,
    ) -> Result<(), TooSlow> {
        self.mark = position.mark();
        self.state = State::New(position.clone());
        self.last_snapshot = Some(Instant::now());
        self.send(Delivery::snapshot(self.mark, Arc::clone(orders)))
    }

    pub(super) fn send_heartbeat(&self) -> Result<(), TooSlow> {
        self.send(Delivery::heartbeat(self.mark))
    }

    fn send(&self, delivery: Delivery) -> Result<(), TooSlow> {
        self.queue.try_send(delivery).map_err(|_| TooSlow)
    }
}

/// What has changed for some subscribers.
#[derive(Default)]
pub(super) enum Changes {
    #[default]
    None,
    Some(Arc<Orders>),
    Unsendable(Reason),
}

impl Changes {
    pub(super) fn of(orders: Vec<Arc<OrderSummary>>, room: &Room) -> Self {
        match orders.len() {
            0 => Self::None,
            count if count > MAX_CHANGES => Self::Unsendable(Reason::TooManyChanges),
            _ => room.hold(orders).map_or(Self::Unsendable(Reason::NoRoom), Self::Some),
        }
    }
}
