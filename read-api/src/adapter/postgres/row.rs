//! The columns of a summary.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::model::OrderSummary;

/// The columns besides the customer's id, which whoever asks for a customer knows. `o` is the summary.
pub(super) const COLUMNS: &str =
    "o.order_id, o.total_cents, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version";

/// The types of [`COLUMNS`].
pub(super) type Columns = (SqlUuid, BigInt, Text, Timestamptz, Integer, Text, Integer);

/// The values of [`COLUMNS`].
pub(super) type Row = (Uuid, i64, String, DateTime<Utc>, i32, String, i32);

/// The customer's summary in these columns.
pub(super) fn summary(customer_id: String, row: Row) -> OrderSummary {
    let (order_id, total_cents, status, placed_at, item_count, last_item_sku, version) = row;
    OrderSummary { order_id, customer_id, status, version, total_cents, item_count, last_item_sku, placed_at }
}
