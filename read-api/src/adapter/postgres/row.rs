//! A row of `order_summary`.

use chrono::{DateTime, Utc};
use diesel::{Queryable, Selectable};
use uuid::Uuid;

use super::schema::order_summary;
use crate::model::OrderSummary;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = order_summary, check_for_backend(diesel::pg::Pg))]
pub(super) struct SummaryRow {
    order_id: Uuid,
    customer_id: String,
    total_cents: i64,
    status: String,
    placed_at: DateTime<Utc>,
    item_count: i32,
    last_item_sku: String,
    version: i32,
}

impl From<SummaryRow> for OrderSummary {
    fn from(row: SummaryRow) -> Self {
        let SummaryRow {
            order_id,
            customer_id,
            total_cents,
            status,
            placed_at,
            item_count,
            last_item_sku,
            version,
        } = row;
        Self { order_id, customer_id, status, version, total_cents, item_count, last_item_sku, placed_at }
    }
}
