//! A checkout places an order.

use chrono::{DateTime, Utc};

use crate::domain::{CustomerId, Order, OrderId, OrderLines};
use crate::port::{OrderWriter, Saved, WriteError};

/// The wish to place an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Identity of the order. Whoever repeats the command with the same one gets the same order, once.
    pub order_id: OrderId,
    /// Who orders.
    pub customer: CustomerId,
    /// What is ordered.
    pub lines: OrderLines,
}

/// An order that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    /// The order, as it is now.
    pub order: Order,
    /// Whether an earlier command had placed it.
    pub replayed: bool,
}

/// Why no order was placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceOrderError {
    /// There is an order of this id with another customer or other items.
    #[error("another order has this id")]
    IdTaken,
    /// It could not be stored.
    #[error("the order could not be placed")]
    Write(#[from] WriteError),
}

impl PlaceOrder {
    /// Places the order, or finds that it was placed before.
    ///
    /// # Errors
    ///
    /// [`PlaceOrderError`].
    pub async fn run(
        self,
        writer: &impl OrderWriter,
        now: DateTime<Utc>,
    ) -> Result<PlacedOrder, PlaceOrderError> {
        let (order, event) = Order::place(self.order_id.get(), self.customer, self.lines, now);
        match writer.save(&order, event).await? {
            Saved::Stored => Ok(PlacedOrder { order, replayed: false }),
            Saved::Superseded(earlier) if earlier.was_placed_with(order.customer(), order.lines()) => {
                Ok(PlacedOrder { order: *earlier, replayed: true })
            }
            Saved::Superseded(_) => Err(PlaceOrderError::IdTaken),
        }
    }
}
