//! Setting events aside that cannot be projected, and claiming them again when they are due.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::claimed::{ClaimedEvent, Origin};

/// An event to be parked, whether for the first time or again.
#[derive(Debug)]
pub struct Parking<'a> {
    /// The event, claimed by this transaction.
    pub event: &'a ClaimedEvent,
    /// How often it has been tried.
    pub attempts: i32,
    /// Why it could not be projected.
    pub error: &'a str,
    /// When to try again; never where there is none.
    pub retry_in: Option<Duration>,
}

/// Keeps claimed events, with the reason why they could not be projected.
///
/// # Errors
///
/// The database's.
pub async fn park(connection: &mut AsyncPgConnection, events: &[Parking<'_>]) -> QueryResult<()> {
    RunQueryDsl::execute(Park::of(events), connection).await.map(drop)
}

/// Takes up to `limit` events that are due to be tried again from among the parked ones, those that have been due for
/// longest first, and returns them by id. Locks and rollback are as in [`super::outbox::claim`].
///
/// # Errors
///
/// The database's.
pub async fn claim_due(connection: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<ClaimedEvent>> {
    let rows: Vec<DueRow> = RunQueryDsl::load(ClaimDue { limit }, connection).await?;
    let mut claimed: Vec<_> = rows
        .into_iter()
        .map(|(id, kind, payload, created_at, since, attempts)| ClaimedEvent {
            id,
            kind,
            payload,
            created_at,
            origin: Origin::Parked { since, attempts },
        })
        .collect();
    claimed.sort_unstable_by_key(|event| event.id);
    Ok(claimed)
}

/// One array a column, so that the text is the same for any number of events and stays prepared.
#[derive(Default)]
struct Park<'a> {
    id: Vec<i64>,
    kind: Vec<&'a str>,
    payload: Vec<&'a str>,
    created_at: Vec<DateTime<Utc>>,
    parked_at: Vec<Option<DateTime<Utc>>>,
    attempts: Vec<i32>,
    error: Vec<&'a str>,
    retry_in_ms: Vec<Option<i64>>,
}

impl<'a> Park<'a> {
    fn of(events: &[Parking<'a>]) -> Self {
        let mut rows = Self::default();
        for Parking { event, attempts, error, retry_in } in events {
            rows.id.push(event.id);
            rows.kind.push(&event.kind);
            rows.payload.push(&event.payload);
            rows.created_at.push(event.created_at);
            rows.parked_at.push(match event.origin {
                Origin::Outbox { .. } => None,
                Origin::Parked { since, .. } => Some(since),
            });
            rows.attempts.push(*attempts);
            rows.error.push(error);
            rows.retry_in_ms.push(retry_in.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
        }
        rows
    }
}

impl QueryId for Park<'_> {
    type QueryId = Park<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Park<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO parked_events (id, kind, payload, created_at, parked_at, attempts, error, next_attempt_at) \
             SELECT id, kind, payload::json, created_at, coalesce(parked_at, now()), attempts, error, \
             now() + retry_in_ms * interval '1 millisecond' FROM unnest(",
        );
        out.push_bind_param::<Array<BigInt>, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.payload)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.created_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Timestamptz>>, _>(&self.parked_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.attempts)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.error)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<BigInt>>, _>(&self.retry_in_ms)?;
        out.push_sql(") AS t (id, kind, payload, created_at, parked_at, attempts, error, retry_in_ms)");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Park<'_> {}

type DueRow = (i64, String, String, DateTime<Utc>, DateTime<Utc>, i32);

#[derive(QueryId)]
struct ClaimDue {
    limit: i64,
}

impl Query for ClaimDue {
    type SqlType = (BigInt, Text, Text, Timestamptz, Timestamptz, Integer);
}

impl QueryFragment<Pg> for ClaimDue {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "DELETE FROM parked_events WHERE id = ANY(ARRAY(SELECT id FROM parked_events \
             WHERE next_attempt_at <= now() ORDER BY next_attempt_at, id LIMIT ",
        );
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        out.push_sql(
            " FOR UPDATE SKIP LOCKED)) RETURNING id, kind, payload::text, created_at, parked_at, attempts",
        );
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for ClaimDue {}
