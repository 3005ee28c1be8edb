//! Locking the rows of orders, except those that another session has locked.

use std::collections::BTreeSet;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{self, Array};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::OrderEvent;
use uuid::Uuid;

/// The positions of the events whose rows another session has locked. All other rows that exist are locked by this transaction.
pub(super) async fn lock_rows(
    connection: &mut AsyncPgConnection,
    events: &[OrderEvent],
) -> QueryResult<Vec<usize>> {
    let orders: BTreeSet<_> = events.iter().map(|event| event.order.order_id).collect();
    let lock = LockRows { order_id: orders.into_iter().collect() };
    let locked: Vec<Uuid> = RunQueryDsl::load(lock, connection).await?;
    if locked.is_empty() {
        return Ok(Vec::new());
    }
    let locked: BTreeSet<_> = locked.into_iter().collect();
    let each = events.iter().enumerate();
    Ok(each
        .filter(|(_, event)| locked.contains(&event.order.order_id))
        .map(|(position, _)| position)
        .collect())
}

#[derive(QueryId)]
struct LockRows {
    order_id: Vec<Uuid>,
}

impl Query for LockRows {
    type SqlType = sql_types::Uuid;
}

impl QueryFragment<Pg> for LockRows {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // The strength that the upsert's update needs. Scalar subqueries rather than joins: one key at a time is looked up,
        // whatever the statistics say. BETWEEN, ordered, is served by the primary key alone: other indexes have the column too,
        // further behind, and look as good while the table is empty.
        out.push_sql("SELECT t.order_id FROM unnest(");
        out.push_bind_param::<Array<sql_types::Uuid>, _>(&self.order_id)?;
        out.push_sql(
            ") AS t (order_id) \
             WHERE (SELECT true FROM order_summary AS known WHERE known.order_id BETWEEN t.order_id AND t.order_id \
             ORDER BY known.order_id LIMIT 1) IS NOT NULL \
             AND (SELECT true FROM order_summary AS unlocked WHERE unlocked.order_id BETWEEN t.order_id AND t.order_id \
             ORDER BY unlocked.order_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) IS NULL",
        );
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for LockRows {}
