//! One order in a list.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// One order as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderSummary {
    /// Identity of the order.
    pub order_id: Uuid,
    /// Who ordered.
    pub customer_id: String,
    /// `placed`, `paid`, `shipped`, `delivered` or `cancelled`.
    pub status: String,
    /// The version of the order that this shows; it never goes back.
    pub version: i32,
    /// Σ price × quantity, in cents.
    pub total_cents: i64,
    /// How many items (lines) the order has.
    pub item_count: i32,
    /// SKU of the last item.
    pub last_item_sku: String,
    /// When the order was placed.
    pub placed_at: DateTime<Utc>,
}
