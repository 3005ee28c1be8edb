//! Changes: orders written by transactions that have not been seen.

use std::ops::Range;
use std::sync::Arc;

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use super::row::{Columns, Row, summary};
use crate::model::OrderSummary;
use crate::port::Change;

/// Up to `limit` orders of the customer that transaction `first_unseen` or a later one wrote. It reads all orders of
/// this customer by index, and none of others. It takes no row locks.
pub(super) async fn for_customer(
    connection: &mut AsyncPgConnection,
    customer_id: String,
    first_unseen: i64,
    limit: i64,
) -> QueryResult<Vec<OrderSummary>> {
    let customer: Arc<str> = customer_id.as_str().into();
    let query = ChangesOfCustomer { customer_id, first_unseen, limit };
    let rows: Vec<Row> = RunQueryDsl::load(query, connection).await?;
    Ok(rows.into_iter().map(|row| summary(Arc::clone(&customer), row)).collect())
}

/// Up to `limit` orders of these customers that one of these transactions wrote. It reads the changes of all
/// customers. It takes no row locks.
pub(super) async fn for_customers(
    connection: &mut AsyncPgConnection,
    customer_ids: Vec<String>,
    transactions: Vec<Range<i64>>,
    limit: i64,
) -> QueryResult<Vec<Change>> {
    let (first, end) = transactions.into_iter().map(|range| (range.start, range.end)).unzip();
    let query = Changes { first, end, customer_ids, limit };
    let rows: Vec<(i64, String, Row)> = RunQueryDsl::load(query, connection).await?;
    let change = |(transaction, customer_id, row): (i64, String, Row)| Change {
        transaction,
        order: summary(customer_id.into(), row),
    };
    Ok(rows.into_iter().map(change).collect())
}

statement! {
    struct ChangesOfCustomer = "changes_of_customer.sql" -> Columns {
        customer_id: String as Text,
        first_unseen: i64 as BigInt,
        limit: i64 as BigInt,
    }
}

statement! {
    struct Changes = "changes.sql" -> (BigInt, Text, Columns) {
        first: Vec<i64> as Array<BigInt>,
        end: Vec<i64> as Array<BigInt>,
        customer_ids: Vec<String> as Array<Text>,
        limit: i64 as BigInt,
    }
}
