//! Claiming events from the outbox.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, Queryable, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// An event that this transaction has taken out of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct ClaimedEvent {
    /// Its id in the outbox.
    pub id: i64,
    /// Name of its kind.
    pub kind: String,
    /// Its payload, as JSON text.
    pub payload: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// Takes up to `limit` events out of the outbox, oldest first, and returns them in that order.
///
/// The rows stay locked until the transaction ends. Rows that another transaction has claimed are skipped, not waited
/// for. If this transaction is rolled back, the events are there as before.
///
/// # Errors
///
/// The database's.
pub async fn claim(connection: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<ClaimedEvent>> {
    let mut claimed: Vec<ClaimedEvent> = RunQueryDsl::load(Claim { limit }, connection).await?;
    // RETURNING promises no order.
    claimed.sort_unstable_by_key(|event| event.id);
    Ok(claimed)
}

#[derive(QueryId)]
struct Claim {
    limit: i64,
}

impl Query for Claim {
    type SqlType = (sql_types::BigInt, sql_types::Text, sql_types::Text, sql_types::Timestamptz);
}

impl QueryFragment<Pg> for Claim {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // `= ANY(ARRAY(…))` rather than `IN (…)`: under a generic plan or stale statistics the latter becomes a
        // sequential scan.
        out.push_sql("DELETE FROM outbox WHERE id = ANY(ARRAY(SELECT id FROM outbox ORDER BY id LIMIT ");
        out.push_bind_param::<sql_types::BigInt, _>(&self.limit)?;
        out.push_sql(" FOR UPDATE SKIP LOCKED)) RETURNING id, kind, payload::text, created_at");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Claim {}
