//! The storage that the commands need.

use std::future::Future;

use chrono::{DateTime, Utc};
use shared_events::OrderEvent;
use uuid::Uuid;

use crate::domain::{CustomerId, Order};

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Stores orders, each with its event in the outbox.
pub trait OrderWriter: Send + Sync + 'static {
    /// Stores the order together with its event: both or neither. Version 1 inserts the order if its id is free. A
    /// higher version replaces the stored order if that has the version just before it. In all other cases nothing is
    /// stored.
    ///
    /// Dropping the returned future does not cancel the write, and leaves nothing half done.
    fn save(
        &self,
        order: &Order,
        event: OrderEvent,
    ) -> impl Future<Output = Result<SaveResult, WriteError>> + Send;

    /// The stored order, or `None` if there is none, or if it belongs to another customer than `owner`. Both run the
    /// same statements.
    ///
    /// # Errors
    ///
    /// [`WriteError::Unavailable`], or [`WriteError::Refused`] if the stored row is not a valid order.
    fn find(
        &self,
        order_id: Uuid,
        owner: Option<&CustomerId>,
    ) -> impl Future<Output = Result<Option<Order>, WriteError>> + Send;
}

/// Reads stored orders page by page, and writes their current state to the outbox again.
pub trait RepublishSource: Send + Sync + 'static {
    /// The approximate number of orders, for a progress bar.
    fn estimate(&self) -> impl Future<Output = Result<u64, RepublishSourceError>> + Send;

    /// Scans the next `limit` orders after the id `after`, and returns those that `filter` selects. `None` if no orders
    /// are left.
    fn page(
        &self,
        filter: &OrderFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> impl Future<Output = Result<Option<Page>, RepublishSourceError>> + Send;

    /// Adds the events to the outbox: all of them or none.
    fn emit(&self, events: &[OrderEvent]) -> impl Future<Output = Result<(), RepublishSourceError>> + Send;

    /// Whether more than `limit` events wait to be projected.
    fn backlog_exceeds(&self, limit: i64) -> impl Future<Output = Result<bool, RepublishSourceError>> + Send;
}

/// Selects the orders that meet every condition given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFilter {
    pub customer: Option<CustomerId>,
    /// Orders placed or changed at this time or later, by the clock of the writer that did it.
    pub since: Option<DateTime<Utc>>,
    pub order_id: Option<Uuid>,
}

/// One page of the orders, sorted by id.
#[derive(Debug)]
pub struct Page {
    pub orders: Vec<Order>,
    /// Rows that are not valid orders, and why: another program has written to the table.
    pub corrupt: Vec<(Uuid, BoxedError)>,
    pub scanned: u64,
    /// The last id that was scanned. The next page starts after it.
    pub last: Uuid,
}

/// The orders could not be read, or the events not written. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("storage is unavailable")]
pub struct RepublishSourceError(#[source] pub BoxedError);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveResult {
    /// Order and event are stored. Later versions may have followed already.
    Stored,
    /// Nothing was stored, and nothing will be. The database has this order: the id was taken, or another change came
    /// first.
    Conflict(Box<Order>),
}

/// Why an order was not stored, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The queue or its memory is full. Nothing was stored; a retry may succeed.
    #[error("too many orders are waiting to be stored")]
    Busy,
    /// Nothing was stored; a retry may succeed.
    #[error("storage is unavailable; nothing was stored")]
    Unavailable(#[source] BoxedError),
    /// The write was sent, and it is not known whether it was stored.
    #[error("it is not known whether the change was stored")]
    OutcomeUnknown(#[source] BoxedError),
    /// Nothing was stored; a retry cannot succeed.
    #[error("storage refused the order; nothing was stored")]
    Refused(#[source] BoxedError),
}
