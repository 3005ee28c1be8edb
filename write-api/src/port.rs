//! What the commands need from storage.

use std::future::Future;

use chrono::{DateTime, Utc};
use shared_events::OrderEvent;
use uuid::Uuid;

use crate::domain::{CustomerId, Order};

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps orders, and tells about them through the outbox.
pub trait OrderWriter: Send + Sync + 'static {
    /// Stores the order together with its event: both or neither. Version 1 is a new order; any other version takes the
    /// place of the version before it. What is stored stays as it is where that cannot be.
    ///
    /// The write does not depend on the returned future: dropping it leaves nothing half done.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    fn save(
        &self,
        order: &Order,
        event: OrderEvent,
    ) -> impl Future<Output = Result<Saved, WriteError>> + Send;

    /// The order as it is stored, or `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`WriteError::Unavailable`], or [`WriteError::Refused`] where what is stored is not an order.
    fn find(&self, order_id: Uuid) -> impl Future<Output = Result<Option<Order>, WriteError>> + Send;
}

/// Reads all orders, and tells about them once more through the outbox.
pub trait OrderArchive: Send + Sync + 'static {
    /// About how many orders there are: to show progress, no more.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    fn estimate(&self) -> impl Future<Output = Result<u64, ArchiveError>> + Send;

    /// Looks through the next `limit` orders by id, those after `after`, and returns the ones that `which` is about.
    /// `None` where there are no more orders.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    fn page(
        &self,
        which: &WhichOrders,
        after: Option<Uuid>,
        limit: i64,
    ) -> impl Future<Output = Result<Option<Page>, ArchiveError>> + Send;

    /// Puts the events into the outbox: all of them or none.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    fn emit(&self, events: &[OrderEvent]) -> impl Future<Output = Result<(), ArchiveError>> + Send;

    /// Whether more than `limit` events wait to be projected.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    fn backlog_exceeds(&self, limit: i64) -> impl Future<Output = Result<bool, ArchiveError>> + Send;
}

/// Which orders are meant: all that meet every condition given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhichOrders {
    /// Those of this customer.
    pub customer: Option<CustomerId>,
    /// Those that were placed or changed at this time or later, by the clock of the writer that did it.
    pub since: Option<DateTime<Utc>>,
    /// This one.
    pub order_id: Option<Uuid>,
}

/// A part of all orders, by id.
#[derive(Debug)]
pub struct Page {
    /// Those that were meant.
    pub orders: Vec<Order>,
    /// Rows that are no orders, and why: somebody else has written to the table.
    pub corrupt: Vec<(Uuid, BoxedError)>,
    /// How many were looked at.
    pub looked_at: u64,
    /// The last id that was looked at: the next page begins after it.
    pub last: Uuid,
}

/// The orders cannot be read, or the events not written; nothing of this step was done.
#[derive(Debug, thiserror::Error)]
#[error("storage cannot be used")]
pub struct ArchiveError(#[source] pub BoxedError);

/// What came of saving an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// Order and event are stored. Later versions may have followed already.
    Stored,
    /// Nothing was stored, certainly, and nothing of it will be: this is stored instead. A new order's id was taken, or the version that a change was
    /// computed from no longer stands.
    Superseded(Box<Order>),
}

/// Why an order was not stored, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Too much is waiting to be stored. Nothing was stored, and the same attempt may succeed later.
    #[error("too many orders are waiting to be stored")]
    Busy,
    /// Nothing was stored, and the same attempt may succeed later.
    #[error("storage is unavailable; nothing was stored")]
    Unavailable(#[source] BoxedError),
    /// The connection was lost before the answer came, and what is stored does not tell what became of the order.
    #[error("the outcome is unknown; the order may or may not be stored")]
    OutcomeUnknown(#[source] BoxedError),
    /// Nothing was stored, and trying again will not help.
    #[error("storage refused the order; nothing was stored")]
    Refused(#[source] BoxedError),
}
