//! Places an order.

use chrono::{DateTime, Utc};

use crate::domain::{CustomerId, Order, OrderId, OrderLines};
use crate::port::{OrderWriter, SaveResult, WriteError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Makes the command repeatable: with the same id, it places the order once.
    pub order_id: OrderId,
    pub customer: CustomerId,
    pub lines: OrderLines,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    /// The order in its current state.
    pub order: Order,
    /// Whether an earlier command placed it.
    pub replayed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum PlaceOrderError {
    /// An order with this id exists, with a different customer or different items.
    #[error("another order has this id")]
    IdTaken,
    #[error("the order could not be placed")]
    Write(#[from] WriteError),
}

impl PlaceOrder {
    /// Places the order, or returns it if it was placed before.
    pub async fn run(
        self,
        writer: &impl OrderWriter,
        now: DateTime<Utc>,
    ) -> Result<PlacedOrder, PlaceOrderError> {
        let (order, event) = Order::place(self.order_id.get(), self.customer, self.lines, now);
        match writer.save(&order, event).await? {
            SaveResult::Stored => Ok(PlacedOrder { order, replayed: false }),
            SaveResult::Conflict(earlier) if earlier.was_placed_with(order.customer(), order.lines()) => {
                Ok(PlacedOrder { order: *earlier, replayed: true })
            }
            SaveResult::Conflict(_) => Err(PlaceOrderError::IdTaken),
        }
    }
}
