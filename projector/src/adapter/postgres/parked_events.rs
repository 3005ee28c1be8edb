//! Events that cannot be projected, kept out of the way of the others.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, IntoSql, NullableExpressionMethods, OptionalExtension,
    QueryDsl, QueryResult, Queryable,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use self::schema::parked_events::dsl;
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

/// A parked event as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, serde::Serialize)]
pub struct ParkedEvent {
    /// The id that it had in the outbox.
    pub id: i64,
    /// Name of its kind.
    pub kind: String,
    /// Why it could not be projected when it was tried last.
    pub error: String,
    /// How often it has been tried.
    pub attempts: i32,
    /// When the transaction that wrote it began.
    pub created_at: DateTime<Utc>,
    /// When it was parked first.
    pub parked_at: DateTime<Utc>,
    /// When it is tried again; without one it waits for an operator.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What it says.
    pub payload: serde_json::Value,
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

/// Up to `limit` parked events whose ids come after `after`, by id.
///
/// # Errors
///
/// The database's.
pub async fn list(
    connection: &mut AsyncPgConnection,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ParkedEvent>> {
    let rows =
        dsl::parked_events.select(schema::COLUMNS).filter(dsl::id.gt(after)).order(dsl::id).limit(limit);
    RunQueryDsl::load(rows, connection).await
}

/// The parked event with this id.
///
/// # Errors
///
/// The database's.
pub async fn find(connection: &mut AsyncPgConnection, id: i64) -> QueryResult<Option<ParkedEvent>> {
    let row = dsl::parked_events.select(schema::COLUMNS).filter(dsl::id.eq(id));
    RunQueryDsl::get_result(row, connection).await.optional()
}

/// Which parked events an operator means.
#[derive(Debug, Clone)]
pub enum Which {
    /// All of them.
    All,
    /// Those with these ids; ids that are not there are left out.
    Ids(Vec<i64>),
}

impl Which {
    fn ids(&self) -> &[i64] {
        match self {
            Self::All => &[],
            Self::Ids(ids) => ids,
        }
    }

    fn all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// Has events tried again as soon as a projector looks, also those for which nothing more was to be tried. Returns their
/// ids.
///
/// # Errors
///
/// The database's.
pub async fn make_due(connection: &mut AsyncPgConnection, which: &Which) -> QueryResult<Vec<i64>> {
    let meant = dsl::parked_events.filter(which.all().into_sql::<Bool>().or(dsl::id.eq_any(which.ids())));
    let update = diesel::update(meant)
        .set(dsl::next_attempt_at.eq(diesel::dsl::now.into_sql::<Timestamptz>().nullable()));
    RunQueryDsl::get_results(update.returning(dsl::id), connection).await
}

/// Removes events for good, and returns them.
///
/// # Errors
///
/// The database's.
pub async fn discard(connection: &mut AsyncPgConnection, which: &Which) -> QueryResult<Vec<ParkedEvent>> {
    let meant = dsl::parked_events.filter(which.all().into_sql::<Bool>().or(dsl::id.eq_any(which.ids())));
    RunQueryDsl::get_results(diesel::delete(meant).returning(schema::COLUMNS), connection).await
}

mod schema {
    diesel::table! {
        parked_events (id) {
            id -> BigInt,
            kind -> Text,
            payload -> Json,
            created_at -> Timestamptz,
            parked_at -> Timestamptz,
            attempts -> Integer,
            error -> Text,
            next_attempt_at -> Nullable<Timestamptz>,
        }
    }

    use parked_events as row;

    type Columns = (
        row::id,
        row::kind,
        row::error,
        row::attempts,
        row::created_at,
        row::parked_at,
        row::next_attempt_at,
        row::payload,
    );

    /// In the order of [`super::ParkedEvent`].
    pub(super) const COLUMNS: Columns = (
        row::id,
        row::kind,
        row::error,
        row::attempts,
        row::created_at,
        row::parked_at,
        row::next_attempt_at,
        row::payload,
    );
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
