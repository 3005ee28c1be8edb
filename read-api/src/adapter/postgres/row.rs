//! The columns of a summary.

use std::borrow::Cow;
use std::sync::Arc;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid};
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use crate::model::{OrderStatus, OrderSummary};

/// The types of the columns that every statement selects, in this order: `order_id`, `total_cents`, `status`, `placed_at`,
/// `item_count`, `last_item_sku`, `version`. The customer's id is not among them: most callers know it.
pub(super) type Columns = (SqlUuid, BigInt, Text, Timestamptz, Integer, Text, Integer);

/// The values of [`Columns`]. None of them fails to be read: a statement answers many requests, and all would fail.
pub(super) type Row = (Uuid, i64, Status, StoredTime, i32, String, i32);

/// The name of a status. Those that are known are not copied, twenty times a list.
#[derive(Debug, FromSqlRow)]
pub(super) struct Status(Cow<'static, str>);

impl FromSql<Text, Pg> for Status {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let name = std::str::from_utf8(value.as_bytes())?;
        let known = OrderStatus::from_name(name).map(OrderStatus::as_str);
        Ok(Self(known.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed)))
    }
}

/// The customer's summary in these columns.
pub(super) fn summary(customer_id: Arc<str>, row: Row) -> OrderSummary {
    let (order_id, total_cents, Status(status), placed_at, item_count, last_item_sku, version) = row;
    let placed_at = placed_at.clamped();
    OrderSummary { order_id, customer_id, status, version, total_cents, item_count, last_item_sku, placed_at }
}
