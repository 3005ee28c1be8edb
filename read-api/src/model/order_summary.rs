//! One order in a list.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// One order as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OrderSummary {
    /// Identity of the order.
    pub order_id: Uuid,
    /// Who ordered.
    #[schema(example = "alice")]
    pub customer_id: String,
    /// `placed`, `paid`, `shipped`, `delivered` or `cancelled`.
    #[schema(example = "placed")]
    pub status: String,
    /// The version of the order that this shows; it never goes back.
    #[schema(minimum = 1)]
    pub version: i32,
    /// Σ price × quantity, in cents.
    #[schema(minimum = 0)]
    pub total_cents: i64,
    /// How many items (lines) the order has.
    #[schema(minimum = 1)]
    pub item_count: i32,
    /// SKU of the last item.
    #[schema(example = "POT-IRON")]
    pub last_item_sku: String,
    /// When the order was placed.
    pub placed_at: DateTime<Utc>,
}
