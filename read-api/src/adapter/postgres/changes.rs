//! What was written since somebody last looked.

use std::sync::Arc;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::row::{COLUMNS, Columns, Row, summary};
use crate::model::{History, Mark, OrderSummary};

/// The ids that transactions can have so far. Rows of a dump that was restored may have been written by higher ones, of another
/// history: they are no changes.
const ASSIGNED: &str = "changed_in < pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

/// How far has been read, and of which history. It goes no further than the newest summary: ids of transactions that wrote
/// nothing lasting are given again after a crash, and what was written under them then would be taken for seen. A summary that
/// is visible is on disk, and so is its id. A server that has just been promoted tells its new timeline in the second place
/// first.
pub const MARK: &str = "SELECT least(pg_snapshot_xmin(pg_current_snapshot())::text::bigint, \
     (SELECT coalesce(max(changed_in), 0) + 1 FROM order_summary \
     WHERE changed_in < pg_snapshot_xmax(pg_current_snapshot())::text::bigint)), \
     system_identifier, greatest(timeline_id, min_recovery_end_timeline) \
     FROM pg_control_system(), pg_control_checkpoint(), pg_control_recovery()";

/// How far a statement that is run next on this connection will have read: transactions before the mark have ended, and what
/// they wrote is visible to it. What others write is visible now or written after the mark, so that nothing falls between.
pub(super) async fn mark(connection: &mut AsyncPgConnection) -> QueryResult<Mark> {
    let (settled, system, timeline): (i64, i64, i32) = RunQueryDsl::get_result(MarkQuery, connection).await?;
    Ok(Mark { history: History { system, timeline }, settled })
}

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

/// The orders of these customers that were written by transaction `since` or a later one, in the order of their writing. It
/// passes what all customers' orders were changed since then. It locks nothing.
pub(super) async fn of_customers(
    connection: &mut AsyncPgConnection,
    customer_ids: Vec<String>,
    since: i64,
) -> QueryResult<Vec<OrderSummary>> {
    let query = OfCustomers { customer_ids, since };
    let rows: Vec<(String, Row)> = RunQueryDsl::load(query, connection).await?;
    Ok(rows.into_iter().map(|(customer_id, row)| summary(customer_id.into(), row)).collect())
}

#[derive(QueryId)]
struct MarkQuery;

impl Query for MarkQuery {
    type SqlType = (BigInt, BigInt, Integer);
}

impl QueryFragment<Pg> for MarkQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(MARK);
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for MarkQuery {}

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
    customer_ids: Vec<String>,
    since: i64,
}

impl Query for OfCustomers {
    type SqlType = (Text, Columns);
}

impl QueryFragment<Pg> for OfCustomers {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT o.customer_id, ");
        out.push_sql(COLUMNS);
        out.push_sql(" FROM (SELECT * FROM order_summary WHERE changed_in >= ");
        out.push_bind_param::<BigInt, _>(&self.since)?;
        out.push_sql(" AND ");
        out.push_sql(ASSIGNED);
        // OFFSET 0 keeps the customers out of the choice of the index: asked for by name, a few would cost all their orders.
        out.push_sql(" ORDER BY changed_in OFFSET 0) AS o WHERE o.customer_id = ANY(");
        out.push_bind_param::<Array<Text>, _>(&self.customer_ids)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for OfCustomers {}
