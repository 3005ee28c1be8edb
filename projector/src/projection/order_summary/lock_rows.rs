//! Locking the rows of orders, except those that another session has locked.

use std::collections::BTreeSet;

use diesel::QueryResult;
use diesel::sql_types::{self, Array};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use shared_events::OrderEvent;
use uuid::Uuid;

/// Locks the existing rows, and returns the positions of the events whose rows another session has locked.
pub(super) async fn lock_rows(
    connection: &mut AsyncPgConnection,
    events: &[&OrderEvent],
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

statement! {
    struct LockRows = "lock_rows.sql" -> sql_types::Uuid {
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
    }
}
