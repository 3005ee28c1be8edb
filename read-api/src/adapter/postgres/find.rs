//! Orders by id.

use diesel::QueryResult;
use diesel::sql_types::{self, Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use uuid::Uuid;

use super::row::{Columns, Row, summary};
use crate::model::OrderSummary;

/// The orders among these that exist. It takes no row locks.
pub(super) async fn find(
    connection: &mut AsyncPgConnection,
    order_ids: Vec<Uuid>,
) -> QueryResult<Vec<OrderSummary>> {
    let rows: Vec<(String, Row)> = RunQueryDsl::load(Find { order_ids }, connection).await?;
    Ok(rows.into_iter().map(|(customer_id, row)| summary(customer_id.into(), row)).collect())
}

statement! {
    struct Find = "find.sql" -> (Text, Columns) {
        order_ids: Vec<Uuid> as Array<sql_types::Uuid>,
    }
}
