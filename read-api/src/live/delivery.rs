//! Deliveries: events queued for a client, and the budget for all queues.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{OrderSummary, ResumePoint};

/// The maximum number of orders in all queues of a process. Clients of the same customer share them.
const MAX_QUEUED_ORDERS_OF_ALL: usize = 100_000;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEvent {
    /// The event's id. A client that has received this event and all before it can resume from here.
    pub resume_point: ResumePoint,
    /// The event's name and data.
    pub data: EventData,
}

/// The data of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventData {
    /// The newest orders, newest first. They replace everything sent before.
    Snapshot(Vec<Arc<OrderSummary>>),
    /// An order that was placed or changed.
    Order(Arc<OrderSummary>),
    /// The read model was read just now.
    Heartbeat,
}

/// Events for one client. They become separate events only when they are written.
#[derive(Debug)]
pub struct Delivery {
    resume_point: ResumePoint,
    content: Content,
    /// The part of the client's limit that this delivery takes.
    _share: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Content {
    Snapshot(Arc<Orders>),
    Orders(Arc<Orders>),
    Heartbeat,
}

impl Delivery {
    pub(super) fn snapshot(resume_point: ResumePoint, orders: Arc<Orders>) -> Self {
        Self { resume_point, content: Content::Snapshot(orders), _share: None }
    }

    pub(super) fn orders(
        resume_point: ResumePoint,
        orders: Arc<Orders>,
        share: OwnedSemaphorePermit,
    ) -> Self {
        Self { resume_point, content: Content::Orders(orders), _share: Some(share) }
    }

    /// Orders for the start of a stream. They are not queued, so they do not count against the client's limit.
    pub(super) fn first_orders(resume_point: ResumePoint, orders: Arc<Orders>) -> Self {
        Self { resume_point, content: Content::Orders(orders), _share: None }
    }

    pub(super) fn heartbeat(resume_point: ResumePoint) -> Self {
        Self { resume_point, content: Content::Heartbeat, _share: None }
    }

    /// The events in order. Dropping the iterator frees the share.
    pub fn into_events(self) -> impl Iterator<Item = LiveEvent> + Send + Unpin {
        let mut sent = 0;
        std::iter::from_fn(move || {
            let data = match &self.content {
                Content::Orders(orders) => EventData::Order(Arc::clone(orders.list.get(sent)?)),
                _ if sent > 0 => return None,
                Content::Snapshot(orders) => EventData::Snapshot(orders.list.clone()),
                Content::Heartbeat => EventData::Heartbeat,
            };
            sent += 1;
            Some(LiveEvent { resume_point: self.resume_point, data })
        })
    }
}

/// Orders that are queued for one or more clients.
#[derive(Debug)]
pub(super) struct Orders {
    list: Vec<Arc<OrderSummary>>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Orders {
    /// The few orders of a snapshot. They take nothing of the budget: a queue holds at most one snapshot.
    pub(super) fn for_snapshot(orders: Vec<OrderSummary>) -> Arc<Self> {
        Arc::new(Self { list: orders.into_iter().map(Arc::new).collect(), _share: None })
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}

/// The budget for the orders in all queues of the process.
#[derive(Clone)]
pub(super) struct QueueBudget(Arc<Semaphore>);

impl QueueBudget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_QUEUED_ORDERS_OF_ALL)))
    }

    /// Reserves a share for these orders; `None` if too little of the budget is left.
    pub(super) fn reserve(&self, list: Vec<Arc<OrderSummary>>) -> Option<Arc<Orders>> {
        let share = reserve_share(&self.0, list.len())?;
        Some(Arc::new(Orders { list, _share: Some(share) }))
    }
}

pub(super) fn reserve_share(limit: &Arc<Semaphore>, orders: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(limit).try_acquire_many_owned(u32::try_from(orders).ok()?).ok()
}
