//! The columns of a summary, and their conversion.

use std::borrow::Cow;
use std::sync::Arc;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use crate::model::{CurrencyCode, OrderStatus, OrderSummary};

/// The types of the columns that every statement selects, in this sequence: `order_id`, `total_cents`, `currency`,
/// `status`, `placed_at`, `item_count`, `last_item_sku`, `version`. Without `customer_id`, which most callers know.
pub(super) type Columns = (SqlUuid, BigInt, Nullable<Text>, Text, Timestamptz, Integer, Text, Integer);

/// The values of [`Columns`]. Every stored value can be read: a statement serves many requests, which would all fail
/// with it.
pub(super) type Row = (Uuid, i64, Option<Code>, Status, StoredTime, i32, String, i32);

/// The name of a status; known names need no allocation.
#[derive(Debug, FromSqlRow)]
pub(super) struct Status(pub(super) Cow<'static, str>);

impl FromSql<Text, Pg> for Status {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let name = std::str::from_utf8(value.as_bytes())?;
        let known = OrderStatus::from_name(name).map(OrderStatus::as_str);
        Ok(Self(known.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed)))
    }
}

/// A currency; `None` for a text that is no code, which a CHECK refuses.
#[derive(Debug, FromSqlRow)]
pub(super) struct Code(pub(super) Option<CurrencyCode>);

impl FromSql<Text, Pg> for Code {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(CurrencyCode::from_text(value.as_bytes())))
    }
}

/// The summary from a row of this customer.
pub(super) fn summary(customer_id: Arc<str>, row: Row) -> OrderSummary {
    let (order_id, total_cents, currency, Status(status), placed_at, item_count, last_item_sku, version) =
        row;
    OrderSummary {
        order_id,
        customer_id,
        status,
        version,
        currency: currency.and_then(|Code(code)| code),
        total_cents,
        item_count,
        last_item_sku,
        placed_at: placed_at.clamped(),
    }
}
