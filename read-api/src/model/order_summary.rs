//! The summary of one order.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::CurrencyCode;

/// The summary of one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OrderSummary {
    /// The order's id.
    pub order_id: Uuid,
    /// The customer who placed the order.
    #[schema(value_type = String, example = "alice")]
    #[serde(serialize_with = "text")]
    pub customer_id: Arc<str>,
    /// `placed`, `paid`, `shipped`, `delivered` or `cancelled`.
    #[schema(example = "placed")]
    pub status: Cow<'static, str>,
    /// The version of the order that this summary shows. It never decreases.
    #[schema(minimum = 1)]
    pub version: i32,
    /// The ISO 4217 code of the currency of all amounts; `null` if it is not known.
    #[schema(value_type = Option<String>, required = true, example = "EUR", min_length = 3, max_length = 3)]
    pub currency: Option<CurrencyCode>,
    /// Sum of price × quantity over all items, in the currency's minor unit (cents).
    #[schema(minimum = 0)]
    pub total_cents: i64,
    /// Number of items (lines) in the order.
    #[schema(minimum = 1)]
    pub item_count: i32,
    /// The SKU of the last item.
    #[schema(example = "POT-IRON")]
    pub last_item_sku: String,
    /// When the order was placed.
    #[serde(serialize_with = "rfc3339")]
    pub placed_at: DateTime<Utc>,
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// The same text as chrono's `Serialize`, but formatted at once: chrono writes it in many small pieces.
fn rfc3339<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
