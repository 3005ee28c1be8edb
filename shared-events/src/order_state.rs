//! The order state in every event.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

/// The state of an order right after an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderState {
    /// The order's id.
    pub order_id: Uuid,
    /// The customer's id: 1 to 128 characters. Orders older than these rules may have outer white space, or be `.` or
    /// `..`.
    pub customer_id: String,
    /// The order's status.
    pub status: OrderStatus,
    /// 1 when placed, increased by 1 with each change. Only the version determines the sequence of an order's events.
    pub version: i32,
    /// Σ price × quantity over the items, in the currency's minor unit (cents); never negative. Above 2^53 − 1
    /// only in orders older than that limit.
    pub total_cents: i64,
    /// Number of items (lines), at least 1. Quantities are not added up.
    pub item_count: i32,
    /// SKU of the last item, in the sequence of the request.
    pub last_item_sku: String,
    /// When the order was placed. The same in all events of an order.
    #[serde(serialize_with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "DateTime<Utc>"))]
    pub placed_at: DateTime<Utc>,
}

/// The same text as chrono's `Serialize`, but formatted at once, which is cheaper: chrono writes it in many small
/// pieces.
pub(crate) fn rfc3339<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The status of an order. It moves `placed → paid → shipped → delivered`, or to `cancelled` from the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Accepted, not paid yet.
    Placed,
    /// Paid, not shipped yet.
    Paid,
    /// On its way to the customer.
    Shipped,
    /// Received by the customer. Final.
    Delivered,
    /// Cancelled before it was shipped. Final.
    Cancelled,
}

/// The text is not the name of an [`OrderStatus`].
#[derive(Debug, thiserror::Error)]
#[error("unknown order status {0:?}")]
pub struct UnknownOrderStatus(pub String);

impl OrderStatus {
    /// Every status, in the sequence of an order's life.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_text_that_chrono_gives_it() {
        for nanos in [0, 1_000_000, 1_000, 1] {
            let time = DateTime::from_timestamp(1_764_240_000, nanos).unwrap();
            let text = rfc3339(&time, serde_json::value::Serializer).unwrap();
            assert_eq!(text, serde_json::to_value(time).unwrap());
        }
    }
}
