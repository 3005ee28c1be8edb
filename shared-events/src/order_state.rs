//! The state that every event carries.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An order as it stood right after an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    /// Identity of the order.
    pub order_id: Uuid,
    /// Who ordered; 1 to 128 characters. White space at the ends, `.` and `..` only in orders of before they were refused.
    pub customer_id: String,
    /// Where the order stands.
    pub status: OrderStatus,
    /// 1 when placed, one more with each change. The only thing that orders an order's events.
    pub version: i32,
    /// Σ price × quantity over the items, in cents; never negative. Above 2^53 − 1 only in orders of before that limit.
    pub total_cents: i64,
    /// How many items (lines) the order has, at least 1; quantities are not added up.
    pub item_count: i32,
    /// SKU of the last item, in the order in which the customer gave them.
    pub last_item_sku: String,
    /// When the order was placed; the same in all events of one order.
    pub placed_at: DateTime<Utc>,
}

/// One item (line) of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderItem {
    /// What was ordered; 1 to 64 characters.
    pub sku: String,
    /// How many of it; at least 1.
    pub quantity: i32,
    /// Price of one, in cents; never negative.
    pub price_cents: i64,
}

/// Where an order stands. It moves `placed → paid → shipped → delivered`, or to `cancelled` from the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Accepted, not yet paid.
    Placed,
    /// Paid, not yet on its way.
    Paid,
    /// On its way.
    Shipped,
    /// With the customer. Final.
    Delivered,
    /// Called off. Final.
    Cancelled,
}

/// A text that names no [`OrderStatus`].
#[derive(Debug, thiserror::Error)]
#[error("unknown order status {0:?}")]
pub struct UnknownOrderStatus(pub String);

impl OrderStatus {
    /// Every status, in the order of an order's life.
    pub const ALL: [Self; 5] = [Self::Placed, Self::Paid, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// The name used on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OrderStatus {
    type Err = UnknownOrderStatus;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == name)
            .ok_or_else(|| UnknownOrderStatus(name.to_owned()))
    }
}
