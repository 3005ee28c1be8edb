//! Claiming events from the outbox.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::stored_time::StoredTime;

use crate::outbox::claimed_event::{ClaimLimits, ClaimedEvent, Origin, push_measured, push_those_that_fit};

/// Takes events with ids of `from` or higher out of the outbox, oldest first, up to `limits`, and returns them in that
/// order.
///
/// The rows stay locked until the transaction ends. Rows that another transaction has claimed are skipped, not waited
/// for. If this transaction is rolled back, the events are there as before.
///
/// # Errors
///
/// The database's.
pub async fn claim(
    connection: &mut AsyncPgConnection,
    from: i64,
    limits: ClaimLimits,
) -> QueryResult<Vec<ClaimedEvent>> {
    let rows: Vec<Row> = RunQueryDsl::load(Claim { from, limits }, connection).await?;
    let mut claimed: Vec<_> = rows
        .into_iter()
        .map(|(id, kind, payload, created_at, claimed_at)| {
            let created_at = created_at.clamped();
            let age = (claimed_at.clamped() - created_at).to_std().unwrap_or_default();
            ClaimedEvent { id, kind, payload, created_at, origin: Origin::Outbox { age } }
        })
        .collect();
    // RETURNING promises no order.
    claimed.sort_unstable_by_key(|event| event.id);
    Ok(claimed)
}

/// No value of any column fails to be read: it would fail the claim of all the other events.
type Row = (i64, String, String, StoredTime, StoredTime);

#[derive(QueryId)]
struct Claim {
    from: i64,
    limits: ClaimLimits,
}

impl Query for Claim {
    type SqlType =
        (sql_types::BigInt, sql_types::Text, sql_types::Text, sql_types::Timestamptz, sql_types::Timestamptz);
}

impl QueryFragment<Pg> for Claim {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // By place rather than by id, which saves searching the index once more: a locked row stays where it is. A row that
        // somebody has updated since the statement began is locked at its new place, which the statement does not see: it is
        // left for the next claim. Places are those of one table; in partitions they would not tell rows apart.
        // `= ANY(ARRAY(…))` rather than `IN (…)`: under a generic plan or stale statistics the latter becomes a join that
        // reads the whole table.
        // Nearly always all that were locked fit, which one sum shows; only where they do not are they counted one by one.
        out.push_sql("DELETE FROM outbox WHERE ctid = ANY((SELECT CASE WHEN bytes <= ");
        out.push_bind_param::<sql_types::BigInt, _>(&self.limits.bytes)?;
        out.push_sql(" THEN places ELSE ARRAY(");
        let measured = |out: &mut AstPass<'_, 'b, Pg>| {
            out.push_sql("SELECT place, bytes FROM unnest(places, sizes) AS each (place, bytes)");
            Ok(())
        };
        push_those_that_fit(&mut out, "place", measured, &self.limits.bytes)?;
        out.push_sql(
            ") END FROM (SELECT array_agg(ctid) AS places, array_agg(bytes) AS sizes, sum(bytes) AS bytes \
             FROM (",
        );
        push_measured(&mut out, "ctid", |out| {
            out.push_sql("SELECT ctid, payload FROM outbox WHERE id >= ");
            out.push_bind_param::<sql_types::BigInt, _>(&self.from)?;
            out.push_sql(" ORDER BY id LIMIT ");
            out.push_bind_param::<sql_types::BigInt, _>(&self.limits.events)?;
            out.push_sql(" FOR UPDATE SKIP LOCKED");
            Ok(())
        })?;
        out.push_sql(
            ") AS measured) AS claimed)::tid[]) \
             RETURNING id, kind, payload::text, created_at, statement_timestamp()",
        );
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Claim {}
