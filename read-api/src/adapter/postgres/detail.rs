//! Orders by id, with everything that is known of them.

use diesel::QueryResult;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{self, Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use super::row::{Code, Columns, Row, Status};
use crate::model::{Items, OrderDetail, OrderRequest, OrderStatus, WantedVersion};

/// The order of each request, in the order of the requests; `None` for each that has none. It takes no row locks.
pub(super) async fn find(
    connection: &mut AsyncPgConnection,
    requests: Vec<OrderRequest>,
) -> QueryResult<Vec<Option<OrderDetail>>> {
    let mut found = vec![None; requests.len()];
    let (order_id, customer_id) =
        requests.into_iter().map(|request| (request.order_id, request.customer_id)).unzip();
    let rows: Vec<(i64, DetailRow)> = RunQueryDsl::load(Find { order_id, customer_id }, connection).await?;
    for (number, row) in rows {
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        if let Some(order) = found.get_mut(index) {
            *order = Some(detail(row));
        }
    }
    Ok(found)
}

/// Those of the orders that have reached the wanted versions. It takes no row locks.
pub(super) async fn reached(
    connection: &mut AsyncPgConnection,
    wanted: Vec<WantedVersion>,
) -> QueryResult<Vec<OrderDetail>> {
    let mut query = Reached::default();
    for WantedVersion { order_id, version, customer_id } in wanted {
        query.order_id.push(order_id);
        query.version.push(version);
        query.customer_id.push(customer_id);
    }
    let rows: Vec<DetailRow> = RunQueryDsl::load(query, connection).await?;
    Ok(rows.into_iter().map(detail).collect())
}

/// Whether the order has reached the wanted version on this connection's server. Later statements on this connection
/// see at least that version.
pub(super) async fn has_version(
    connection: &mut AsyncPgConnection,
    WantedVersion { order_id, version, customer_id }: WantedVersion,
) -> QueryResult<bool> {
    RunQueryDsl::get_result(HasVersion { order_id, version, customer_id }, connection).await
}

/// The types of the columns `items`, `carrier`, `tracking_number`, `cancel_reason`, and of the times of the
/// steps.
type FactColumns = (
    Nullable<Json>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
);

/// The values of [`FactColumns`].
type FactRow = (
    Option<StoredItems>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<StoredTime>,
    Option<StoredTime>,
    Option<StoredTime>,
    Option<StoredTime>,
);

type DetailColumns = (Text, Columns, FactColumns);

/// The customer, the columns of the summary, and the facts.
type DetailRow = (String, Row, FactRow);

/// The stored JSON. A value that is not JSON counts as unknown: a statement serves many requests, which would all fail
/// with it.
#[derive(Debug, FromSqlRow)]
struct StoredItems(Option<Items>);

impl FromSql<Json, Pg> for StoredItems {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Items::from_json(std::str::from_utf8(value.as_bytes())?.to_owned())))
    }
}

fn detail((customer_id, row, facts): DetailRow) -> OrderDetail {
    let (order_id, total_cents, currency, Status(status), placed_at, item_count, last_item_sku, version) =
        row;
    let (items, carrier, tracking_number, cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at) =
        facts;
    let placed_at = placed_at.clamped();
    let [paid_at, shipped_at, delivered_at, cancelled_at] =
        [paid_at, shipped_at, delivered_at, cancelled_at].map(|time| time.map(StoredTime::clamped));
    let updated_at = match OrderStatus::from_name(&status) {
        Some(OrderStatus::Placed) => Some(placed_at),
        Some(OrderStatus::Paid) => paid_at,
        Some(OrderStatus::Shipped) => shipped_at,
        Some(OrderStatus::Delivered) => delivered_at,
        Some(OrderStatus::Cancelled) => cancelled_at,
        None => None,
    };
    OrderDetail {
        order_id,
        customer_id,
        status,
        version,
        currency: currency.and_then(|Code(code)| code),
        total_cents,
        item_count,
        last_item_sku,
        items: items.and_then(|StoredItems(items)| items),
        carrier,
        tracking_number,
        cancel_reason,
        placed_at,
        paid_at,
        shipped_at,
        delivered_at,
        cancelled_at,
        updated_at,
    }
}

statement! {
    /// One array per column, so that the text is the same for any number of orders.
    struct Find = "find.sql" -> (BigInt, DetailColumns) {
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        customer_id: Vec<Option<String>> as Array<Nullable<Text>>,
    }
}

statement! {
    /// One array per column, so that the text is the same for any number of orders.
    #[derive(Default)]
    struct Reached = "reached.sql" -> DetailColumns {
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        version: Vec<i32> as Array<Integer>,
        customer_id: Vec<Option<String>> as Array<Nullable<Text>>,
    }
}

statement! {
    struct HasVersion = "has_version.sql" -> Bool {
        order_id: Uuid as sql_types::Uuid,
        version: i32 as Integer,
        customer_id: Option<String> as Nullable<Text>,
    }
}
