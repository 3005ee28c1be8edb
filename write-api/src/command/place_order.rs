//! Places an order.

use chrono::{DateTime, Utc};

use crate::domain::{ContentDifference, Currency, CustomerId, Order, OrderId, OrderLines};
use crate::port::{OrderWriter, SaveResult, WriteError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Makes the command repeatable: with the same id, it places the order once.
    pub order_id: OrderId,
    pub customer: CustomerId,
    pub lines: OrderLines,
    pub currency: Option<Currency>,
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
    /// An order with this id exists, with other content.
    #[error("another order has this id: {0:?} differs")]
    IdTaken(ContentDifference),
    /// The order could not be stored.
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
        let (order, event) = Order::place(self.order_id.get(), self.customer, self.lines, self.currency, now);
        let earlier = match writer.save(&order, event).await? {
            SaveResult::Stored => return Ok(PlacedOrder { order, replayed: false }),
            SaveResult::Conflict(earlier) => *earlier,
        };
        match earlier.difference_from(order.customer(), order.lines(), order.currency()) {
            None => Ok(PlacedOrder { order: earlier, replayed: true }),
            Some(difference) => Err(PlaceOrderError::IdTaken(difference)),
        }
    }
}
