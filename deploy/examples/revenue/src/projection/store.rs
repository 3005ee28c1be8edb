//! The statements of the projection, with one array for each column.

use std::collections::BTreeMap;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel::sql_types::{self, Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use uuid::Uuid;

use super::counted::{Changes, Counted};
use super::differences::Differences;

/// What has been counted of these orders. Their rows are locked until the transaction ends.
pub(super) async fn load_orders(
    connection: &mut AsyncPgConnection,
    order_ids: Vec<Uuid>,
) -> QueryResult<BTreeMap<Uuid, Counted>> {
    let rows: Vec<Row> = RunQueryDsl::load(Orders { order_ids }, connection).await?;
    rows.into_iter().map(counted).collect()
}

type Row = (Uuid, i32, String, i64, Option<String>, Option<String>, Option<String>);

fn counted(row: Row) -> QueryResult<(Uuid, Counted)> {
    let (order_id, version, status, total_cents, paid_month, currency, units) = row;
    let status = status.parse().map_err(|error| DieselError::DeserializationError(Box::new(error)))?;
    let units = units.map(|units| serde_json::from_str(&units)).transpose();
    let units = units.map_err(|error| DieselError::DeserializationError(Box::new(error)))?;
    Ok((order_id, Counted { version, status, total_cents, paid_month, currency, units }))
}

/// Stores what has now been counted of the orders that changed.
pub(super) async fn store_orders(connection: &mut AsyncPgConnection, changes: &Changes) -> QueryResult<()> {
    if changes.0.is_empty() {
        return Ok(());
    }
    RunQueryDsl::execute(StoreOrders::new(changes)?, connection).await.map(drop)
}

/// Changes the revenue of the months.
pub(super) async fn add_by_month(
    connection: &mut AsyncPgConnection,
    Differences { by_month, .. }: &Differences,
) -> QueryResult<()> {
    if by_month.is_empty() {
        return Ok(());
    }
    let mut rows = AddByMonth::default();
    for ((month, currency), difference) in by_month {
        rows.month.push(month);
        rows.currency.push(currency);
        rows.orders.push(difference.orders);
        rows.revenue_cents.push(difference.amount.to_string());
    }
    RunQueryDsl::execute(rows, connection).await.map(drop)
}

/// Changes the orders of the SKUs.
pub(super) async fn add_by_sku(
    connection: &mut AsyncPgConnection,
    Differences { by_sku, .. }: &Differences,
) -> QueryResult<()> {
    if by_sku.is_empty() {
        return Ok(());
    }
    let mut rows = AddBySku::default();
    for (sku, difference) in by_sku {
        rows.sku.push(sku);
        rows.orders.push(difference.orders);
        rows.units.push(difference.amount.to_string());
    }
    RunQueryDsl::execute(rows, connection).await.map(drop)
}

statement! {
    struct Orders = "orders.sql"
        -> (sql_types::Uuid, Integer, Text, BigInt, Nullable<Text>, Nullable<Text>, Nullable<Text>) {
        order_ids: Vec<Uuid> as Array<sql_types::Uuid>,
    }
}

statement! {
    #[derive(Default)]
    struct StoreOrders<'a> = "store_orders.sql" {
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        version: Vec<i32> as Array<Integer>,
        status: Vec<&'static str> as Array<Text>,
        total_cents: Vec<i64> as Array<BigInt>,
        paid_month: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        currency: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        units: Vec<Option<String>> as Array<Nullable<Text>>,
    }
}

impl<'a> StoreOrders<'a> {
    fn new(Changes(changes): &'a Changes) -> QueryResult<Self> {
        let mut rows = Self::default();
        for (order_id, (_, order)) in changes {
            rows.order_id.push(*order_id);
            rows.version.push(order.version);
            rows.status.push(order.status.as_str());
            rows.total_cents.push(order.total_cents);
            rows.paid_month.push(order.paid_month.as_deref());
            rows.currency.push(order.currency.as_deref());
            let units = order.units.as_ref().map(serde_json::to_string).transpose();
            rows.units.push(units.map_err(|error| DieselError::SerializationError(Box::new(error)))?);
        }
        Ok(rows)
    }
}

statement! {
    #[derive(Default)]
    struct AddByMonth<'a> = "add_by_month.sql" {
        month: Vec<&'a str> as Array<Text>,
        currency: Vec<&'a str> as Array<Text>,
        orders: Vec<i64> as Array<BigInt>,
        /// As texts: a sum may exceed 64 bits.
        revenue_cents: Vec<String> as Array<Text>,
    }
}

statement! {
    #[derive(Default)]
    struct AddBySku<'a> = "add_by_sku.sql" {
        sku: Vec<&'a str> as Array<Text>,
        orders: Vec<i64> as Array<BigInt>,
        units: Vec<String> as Array<Text>,
    }
}
