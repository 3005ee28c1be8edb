//! What is queued for a client, and the room that this takes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{Mark, OrderSummary};

/// The most orders that all queues of a process hold. Clients that watch the same customer share them.
const MAX_HELD: usize = 100_000;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEvent {
    /// A client that has received this event and all before it has seen every write of transactions before the mark.
    pub mark: Mark,
    /// What has happened.
    pub news: News,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The newest orders, newest first. What was sent before no longer counts.
    Snapshot(Vec<Arc<OrderSummary>>),
    /// This order was placed or changed.
    Order(Arc<OrderSummary>),
    /// Nothing, but the read model could be read just now.
    Heartbeat,
}

/// Some events for one client. They become separate events only when they are written.
#[derive(Debug)]
pub struct Delivery {
    mark: Mark,
    content: Content,
    /// The client's share.
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Content {
    Snapshot(Arc<Orders>),
    Orders(Arc<Orders>),
    Heartbeat,
}

impl Delivery {
    pub(super) fn snapshot(mark: Mark, orders: Arc<Orders>) -> Self {
        Self { mark, content: Content::Snapshot(orders), _room: None }
    }

    pub(super) fn orders(mark: Mark, orders: Arc<Orders>, room: OwnedSemaphorePermit) -> Self {
        Self { mark, content: Content::Orders(orders), _room: Some(room) }
    }

    /// What a client gets at once, which takes nothing of its share.
    pub(super) fn first_orders(mark: Mark, orders: Arc<Orders>) -> Self {
        Self { mark, content: Content::Orders(orders), _room: None }
    }

    pub(super) fn heartbeat(mark: Mark) -> Self {
        Self { mark, content: Content::Heartbeat, _room: None }
    }

    /// The events, one after the other. The room is free again when the iterator is dropped.
    pub fn into_events(self) -> impl Iterator<Item = LiveEvent> + Send + Unpin {
        let mut sent = 0;
        std::iter::from_fn(move || {
            let news = match &self.content {
                Content::Orders(orders) => News::Order(Arc::clone(orders.list.get(sent)?)),
                _ if sent > 0 => return None,
                Content::Snapshot(orders) => News::Snapshot(orders.list.clone()),
                Content::Heartbeat => News::Heartbeat,
            };
            sent += 1;
            Some(LiveEvent { mark: self.mark, news })
        })
    }
}

/// Orders that are queued for some clients.
#[derive(Debug)]
pub(super) struct Orders {
    list: Vec<Arc<OrderSummary>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Orders {
    /// The few orders of a snapshot, which take no room: there is at most one in a queue.
    pub(super) fn of_snapshot(orders: Vec<OrderSummary>) -> Arc<Self> {
        Arc::new(Self { list: orders.into_iter().map(Arc::new).collect(), _room: None })
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}

/// The room for what is queued.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_HELD)))
    }

    /// The orders, or `None` where there is no room for them now.
    pub(super) fn hold(&self, list: Vec<Arc<OrderSummary>>) -> Option<Arc<Orders>> {
        let room = reserve(&self.0, list.len())?;
        Some(Arc::new(Orders { list, _room: Some(room) }))
    }
}

pub(super) fn reserve(room: &Arc<Semaphore>, orders: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(room).try_acquire_many_owned(u32::try_from(orders).ok()?).ok()
}
