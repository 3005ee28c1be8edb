//! The facts of an order: what is set once and never changes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{OrderState, OrderStatus};

/// What has been set once in an order's life. A fact that an event lacks is unknown to it, not removed: a read model
/// keeps what an earlier or later event carried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderFacts {
    /// All items, in the sequence of the request. Only placed and republished events carry them.
    pub items: Option<Vec<OrderItem>>,
    /// The ISO 4217 code of the currency of all amounts, if the request named it.
    pub currency: Option<String>,
    /// The carrier, if the shipment named it.
    pub carrier: Option<String>,
    /// The carrier's tracking number, if the shipment had one.
    pub tracking_number: Option<String>,
    /// Why the order was cancelled, if the request had a reason.
    pub cancel_reason: Option<String>,
    /// When the order was paid.
    pub paid_at: Option<DateTime<Utc>>,
    /// When the order left the warehouse.
    pub shipped_at: Option<DateTime<Utc>>,
    /// When the order reached the customer.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When the order was cancelled.
    pub cancelled_at: Option<DateTime<Utc>>,
}

/// One item (line) of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderItem {
    /// Stock keeping unit: 1 to 64 characters.
    pub sku: String,
    /// Number of units, at least 1.
    pub quantity: i32,
    /// Unit price in the currency's minor unit (cents), never negative.
    pub price_cents: i64,
}

impl OrderFacts {
    /// Adds the time of the step that led to `state`, if it is missing: `last_change`, the event's `occurred_at`. That
    /// is the time of the step in republished events too, but for those of the first builds, from before 2026-11-24.
    pub(crate) fn add_time_of_last_step(&mut self, state: &OrderState, last_change: DateTime<Utc>) {
        let time = match state.status {
            OrderStatus::Placed => return,
            OrderStatus::Paid => &mut self.paid_at,
            OrderStatus::Shipped => &mut self.shipped_at,
            OrderStatus::Delivered => &mut self.delivered_at,
            OrderStatus::Cancelled => &mut self.cancelled_at,
        };
        time.get_or_insert(last_change);
    }
}
