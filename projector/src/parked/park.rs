//! Setting events aside that cannot be projected, and claiming them again when they are due.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel::{ExpressionMethods, QueryDsl, QueryResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::stored_time::StoredTime;

use super::operator::schema::parked_events::dsl;
use crate::outbox::claimed_event::{ClaimLimits, ClaimedEvent, Origin, push_measured, push_those_that_fit};

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

/// Keeps events that were claimed from the outbox, with the reason why they could not be projected. An event whose id is
/// taken, because ids were drawn anew after a restore, say, is kept under a negative one.
///
/// # Errors
///
/// The database's.
pub async fn park(connection: &mut AsyncPgConnection, events: &[Parking<'_>]) -> QueryResult<()> {
    RunQueryDsl::execute(Park::of(events), connection).await.map(drop)
}

/// Locks parked events, up to `limits`, that are due to be tried again, those that have been due for longest first, and
/// returns them by id. Events that another transaction has locked are skipped. Call [`settle`] with what becomes of them.
///
/// # Errors
///
/// The database's.
pub async fn claim_due(
    connection: &mut AsyncPgConnection,
    limits: ClaimLimits,
) -> QueryResult<Vec<ClaimedEvent>> {
    let rows: Vec<DueRow> = RunQueryDsl::load(ClaimDue(limits), connection).await?;
    let mut claimed: Vec<_> = rows
        .into_iter()
        .map(|(id, kind, payload, created_at, attempts)| ClaimedEvent {
            id,
            kind,
            payload,
            created_at: created_at.clamped(),
            origin: Origin::Parked { attempts },
        })
        .collect();
    claimed.sort_unstable_by_key(|event| event.id);
    Ok(claimed)
}

/// Removes the parked events that were `applied`, and notes of the others why they were `refused` again. They stay where they
/// are, so that an operator who means one of them at this moment does not miss it.
///
/// # Errors
///
/// The database's.
pub async fn settle(
    connection: &mut AsyncPgConnection,
    applied: &[i64],
    refused: &[Parking<'_>],
) -> QueryResult<()> {
    if !applied.is_empty() {
        let gone = diesel::delete(dsl::parked_events.filter(dsl::id.eq_any(applied)));
        RunQueryDsl::execute(gone, connection).await?;
    }
    if !refused.is_empty() {
        RunQueryDsl::execute(ParkAgain(Tried::of(refused)), connection).await?;
    }
    Ok(())
}

/// Leaves parked events as they are and has them tried again in a moment: their rows are locked, which is no attempt.
///
/// # Errors
///
/// The database's.
pub async fn postpone(connection: &mut AsyncPgConnection, ids: &[i64]) -> QueryResult<()> {
    RunQueryDsl::execute(Postpone { ids: ids.to_vec() }, connection).await.map(drop)
}

/// How events were tried, one array a column, so that a statement's text is the same for any number of events and stays
/// prepared.
#[derive(Default)]
struct Tried<'a> {
    id: Vec<i64>,
    attempts: Vec<i32>,
    error: Vec<&'a str>,
    retry_in_ms: Vec<Option<i64>>,
}

impl<'a> Tried<'a> {
    fn of(events: &[Parking<'a>]) -> Self {
        let mut rows = Self::default();
        for Parking { event, attempts, error, retry_in } in events {
            rows.id.push(event.id);
            rows.attempts.push(*attempts);
            rows.error.push(error);
            rows.retry_in_ms.push(retry_in.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
        }
        rows
    }

    fn push_arrays<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<Array<BigInt>, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.attempts)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.error)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<BigInt>>, _>(&self.retry_in_ms)
    }
}

#[derive(QueryId)]
struct Postpone {
    ids: Vec<i64>,
}

impl QueryFragment<Pg> for Postpone {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "UPDATE parked_events SET next_attempt_at = now() + interval '500 milliseconds' WHERE id = ANY(",
        );
        out.push_bind_param::<Array<BigInt>, _>(&self.ids)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Postpone {}

struct ParkAgain<'a>(Tried<'a>);

impl QueryId for ParkAgain<'_> {
    type QueryId = ParkAgain<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for ParkAgain<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "UPDATE parked_events SET attempts = t.attempts, error = t.error, \
             next_attempt_at = now() + t.retry_in_ms * interval '1 millisecond' FROM unnest(",
        );
        self.0.push_arrays(&mut out)?;
        out.push_sql(") AS t (id, attempts, error, retry_in_ms) WHERE parked_events.id = t.id");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for ParkAgain<'_> {}

struct Park<'a> {
    tried: Tried<'a>,
    kind: Vec<&'a str>,
    payload: Vec<&'a str>,
    created_at: Vec<DateTime<Utc>>,
}

impl<'a> Park<'a> {
    fn of(events: &[Parking<'a>]) -> Self {
        let each = || events.iter().map(|parking| parking.event);
        Self {
            tried: Tried::of(events),
            kind: each().map(|event| event.kind.as_str()).collect(),
            payload: each().map(|event| event.payload.as_str()).collect(),
            created_at: each().map(|event| event.created_at).collect(),
        }
    }
}

impl QueryId for Park<'_> {
    type QueryId = Park<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Park<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // BETWEEN, ordered, is served by the index alone. EXISTS under a plan that was made while the table was empty would read
        // the whole table for each batch.
        out.push_sql(
            "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at) \
             SELECT CASE WHEN (SELECT true FROM parked_events AS known WHERE known.id BETWEEN t.id AND t.id \
             ORDER BY known.id LIMIT 1) IS NOT NULL \
             THEN least(0, (SELECT min(id) FROM parked_events)) - row_number() OVER () ELSE id END, \
             kind, payload::json, created_at, attempts, error, \
             now() + retry_in_ms * interval '1 millisecond' FROM unnest(",
        );
        self.tried.push_arrays(&mut out)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.payload)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.created_at)?;
        out.push_sql(") AS t (id, attempts, error, retry_in_ms, kind, payload, created_at)");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Park<'_> {}

/// No value of any column fails to be read, as with the outbox.
type DueRow = (i64, String, String, StoredTime, i32);

#[derive(QueryId)]
struct ClaimDue(ClaimLimits);

impl Query for ClaimDue {
    type SqlType = (BigInt, Text, Text, Timestamptz, Integer);
}

impl QueryFragment<Pg> for ClaimDue {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let locked = |out: &mut AstPass<'_, 'b, Pg>| {
            out.push_sql(
                "SELECT id, kind, payload, created_at, attempts \
                 FROM parked_events WHERE next_attempt_at <= now() ORDER BY next_attempt_at, id LIMIT ",
            );
            out.push_bind_param::<BigInt, _>(&self.0.events)?;
            out.push_sql(" FOR UPDATE SKIP LOCKED");
            Ok(())
        };
        let columns = "id, kind, payload::text, created_at, attempts";
        push_those_that_fit(&mut out, columns, |out| push_measured(out, "*", locked), &self.0.bytes)
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for ClaimDue {}
