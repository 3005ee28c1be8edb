//! What was written by transactions that have not been seen.

use std::ops::Range;
use std::sync::Arc;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::row::{COLUMNS, Columns, Row, summary};
use crate::model::OrderSummary;
use crate::port::Change;

/// The ids that transactions can have so far. Rows of a dump that was restored may have been written by higher ones, of another
/// history: they are no changes.
const ASSIGNED: &str = "changed_in < pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

/// Up to `limit` orders of the customer that were written by transaction `since` or a later one. It passes all of the
/// customer's orders in the index, and nobody else's. It locks nothing.
pub(super) async fn of_customer(
    connection: &mut AsyncPgConnection,
    customer_id: String,
    since: i64,
    limit: i64,
) -> QueryResult<Vec<OrderSummary>> {
    let customer: Arc<str> = customer_id.as_str().into();
    let query = OfCustomer { customer_id, since, limit };
    let rows: Vec<Row> = RunQueryDsl::load(query, connection).await?;
    Ok(rows.into_iter().map(|row| summary(Arc::clone(&customer), row)).collect())
}

/// Up to `limit` orders of these customers that were written by one of these transactions. It passes what all customers' orders
/// were changed by them. It locks nothing.
pub(super) async fn of_customers(
    connection: &mut AsyncPgConnection,
    customer_ids: Vec<String>,
    transactions: Vec<Range<i64>>,
    limit: i64,
) -> QueryResult<Vec<Change>> {
    let (first, end) = transactions.into_iter().map(|range| (range.start, range.end)).unzip();
    let query = OfCustomers { first, end, customer_ids, limit };
    let rows: Vec<(i64, String, Row)> = RunQueryDsl::load(query, connection).await?;
    let change = |(transaction, customer_id, row): (i64, String, Row)| Change {
        transaction,
        order: summary(customer_id.into(), row),
    };
    Ok(rows.into_iter().map(change).collect())
}

#[derive(QueryId)]
struct OfCustomer {
    customer_id: String,
    since: i64,
    limit: i64,
}

impl Query for OfCustomer {
    type SqlType = Columns;
}

impl QueryFragment<Pg> for OfCustomer {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT ");
        out.push_sql(COLUMNS);
        out.push_sql(" FROM order_summary o WHERE o.customer_id = ");
        out.push_bind_param::<Text, _>(&self.customer_id)?;
        out.push_sql(" AND o.changed_in >= ");
        out.push_bind_param::<BigInt, _>(&self.since)?;
        out.push_sql(" AND o.");
        out.push_sql(ASSIGNED);
        // The order is that of the index with the customers: it keeps PostgreSQL from passing everybody's changes instead.
        out.push_sql(" ORDER BY o.placed_at DESC, o.order_id DESC LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for OfCustomer {}

#[derive(QueryId)]
struct OfCustomers {
    first: Vec<i64>,
    end: Vec<i64>,
    customer_ids: Vec<String>,
    limit: i64,
}

impl Query for OfCustomers {
    type SqlType = (BigInt, Text, Columns);
}

impl QueryFragment<Pg> for OfCustomers {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT o.changed_in, o.customer_id, ");
        out.push_sql(COLUMNS);
        out.push_sql(" FROM unnest(");
        out.push_bind_param::<Array<BigInt>, _>(&self.first)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.end)?;
        out.push_sql(
            ") AS t (first, \"end\") CROSS JOIN LATERAL (SELECT * FROM order_summary \
             WHERE changed_in >= t.first AND changed_in < t.\"end\" AND ",
        );
        out.push_sql(ASSIGNED);
        // OFFSET 0 is an optimization fence: asked for by name, a few customers would cost all their orders.
        out.push_sql(" OFFSET 0) AS o WHERE o.customer_id = ANY(");
        out.push_bind_param::<Array<Text>, _>(&self.customer_ids)?;
        out.push_sql(") LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for OfCustomers {}
