//! What the commands need from storage.

use std::future::Future;

use shared_events::OrderEvent;

use crate::domain::Order;

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps orders, and tells about them through the outbox.
pub trait OrderWriter: Send + Sync + 'static {
    /// Stores a new order together with its event: both or neither. An order of the same id that is already there is
    /// left as it is, and no event is written.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    fn save(
        &self,
        order: &Order,
        event: &OrderEvent,
    ) -> impl Future<Output = Result<Saved, WriteError>> + Send;
}

/// What came of saving an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// Order and event are stored.
    New,
    /// There already was an order of this id: this one.
    AlreadyThere(Box<Order>),
}

/// Why an order was not stored, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing was stored, and the same attempt may succeed later.
    #[error("storage is unavailable; nothing was stored")]
    Unavailable(#[source] BoxedError),
    /// The connection was lost before the answer came: the order may be stored or not.
    #[error("the outcome is unknown; the order may or may not be stored")]
    OutcomeUnknown(#[source] BoxedError),
    /// Nothing was stored, and trying again will not help.
    #[error("storage refused the order; nothing was stored")]
    Refused(#[source] BoxedError),
}
