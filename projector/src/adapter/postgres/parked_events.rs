//! Events that cannot be projected, kept out of the way of the others.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::outbox::ClaimedEvent;

/// Keeps a claimed event, with the reason why it could not be projected. It stays until an operator acts.
///
/// # Errors
///
/// The database's.
pub async fn park(connection: &mut AsyncPgConnection, event: &ClaimedEvent, reason: &str) -> QueryResult<()> {
    RunQueryDsl::execute(Park { event, reason }, connection).await.map(drop)
}

struct Park<'a> {
    event: &'a ClaimedEvent,
    reason: &'a str,
}

impl QueryId for Park<'_> {
    type QueryId = Park<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Park<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO parked_events (id, kind, payload, created_at, attempts, error) VALUES (");
        out.push_bind_param::<sql_types::BigInt, _>(&self.event.id)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Text, _>(&self.event.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Text, _>(&self.event.payload)?;
        out.push_sql("::jsonb, ");
        out.push_bind_param::<sql_types::Timestamptz, _>(&self.event.created_at)?;
        out.push_sql(", 1, ");
        out.push_bind_param::<sql_types::Text, _>(self.reason)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Park<'_> {}
