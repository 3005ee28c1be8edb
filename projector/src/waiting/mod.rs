//! Events that wait for the end of a lock on their order's row.

pub(crate) mod rounds;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{self, Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use crate::outbox::claimed_event::{ClaimLimits, ClaimedEvent, Origin, push_measured, push_those_that_fit};

/// An event to be set aside.
#[derive(Debug)]
pub struct SetAside<'a> {
    /// The event, claimed from the outbox by this transaction.
    pub event: &'a ClaimedEvent,
    /// Its order.
    pub order_id: Uuid,
    /// The order's version after it.
    pub version: i32,
}

/// Keeps events that were claimed from the outbox until their rows are free. An event whose id is taken is kept under a negative
/// one, as parked events are.
///
/// # Errors
///
/// The database's.
pub async fn set_aside(connection: &mut AsyncPgConnection, events: &[SetAside<'_>]) -> QueryResult<()> {
    RunQueryDsl::execute(Insert::of(events), connection).await.map(drop)
}

/// Some of the waiting events. A claim that finds all of them locked costs as much as there are, so it is limited to these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Their ids are above this one,
    pub after: i64,
    /// and up to this one.
    pub up_to: i64,
    /// How many they are.
    pub events: i64,
}

/// The next `size` events with ids above `after`, or fewer where there are no more; nothing where there are none.
///
/// # Errors
///
/// The database's.
pub async fn window(
    connection: &mut AsyncPgConnection,
    after: i64,
    size: i64,
) -> QueryResult<Option<Window>> {
    let found: (Option<i64>, i64) = RunQueryDsl::get_result(FindWindow { after, size }, connection).await?;
    Ok(found.0.map(|up_to| Window { after, up_to, events: found.1 }))
}

/// Locks events of `window`, up to `limits`, whose rows nobody else has locked, and these rows with them; by id. Nothing is written
/// for the others. Call [`remove`] with those that are done.
///
/// # Errors
///
/// The database's.
pub async fn claim_unlocked(
    connection: &mut AsyncPgConnection,
    window: Window,
    limits: ClaimLimits,
) -> QueryResult<Vec<ClaimedEvent>> {
    Ok(claimed(RunQueryDsl::load(ClaimUnlocked(window, limits), connection).await?))
}

/// Locks events of `window`, up to `limits`, whose orders have no row yet, by id. Another session may have inserted the row and
/// not committed it.
///
/// # Errors
///
/// The database's.
pub async fn claim_without_row(
    connection: &mut AsyncPgConnection,
    window: Window,
    limits: ClaimLimits,
) -> QueryResult<Vec<ClaimedEvent>> {
    Ok(claimed(RunQueryDsl::load(ClaimWithoutRow(window, limits), connection).await?))
}

/// Removes events that do not wait any more.
///
/// # Errors
///
/// The database's.
pub async fn remove(connection: &mut AsyncPgConnection, ids: &[i64]) -> QueryResult<()> {
    RunQueryDsl::execute(Remove { ids: ids.to_vec() }, connection).await.map(drop)
}

/// Whether any event waits.
///
/// # Errors
///
/// The database's.
pub async fn is_any(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    RunQueryDsl::get_result(IsAny, connection).await
}

/// No value of any column fails to be read, as with the outbox.
type Row = (i64, String, String, StoredTime, StoredTime);

fn claimed(rows: Vec<Row>) -> Vec<ClaimedEvent> {
    let event = |(id, kind, payload, created_at, claimed_at): Row| {
        let created_at = created_at.clamped();
        let age = (claimed_at.clamped() - created_at).to_std().unwrap_or_default();
        ClaimedEvent { id, kind, payload, created_at, origin: Origin::Waiting { age } }
    };
    rows.into_iter().map(event).collect()
}

/// One array a column, so that the text is the same for any number of events and stays prepared.
struct Insert<'a> {
    id: Vec<i64>,
    order_id: Vec<Uuid>,
    version: Vec<i32>,
    kind: Vec<&'a str>,
    payload: Vec<&'a str>,
    created_at: Vec<DateTime<Utc>>,
}

impl<'a> Insert<'a> {
    fn of(events: &[SetAside<'a>]) -> Self {
        let each = || events.iter().map(|set_aside| set_aside.event);
        Self {
            id: each().map(|event| event.id).collect(),
            order_id: events.iter().map(|set_aside| set_aside.order_id).collect(),
            version: events.iter().map(|set_aside| set_aside.version).collect(),
            kind: each().map(|event| event.kind.as_str()).collect(),
            payload: each().map(|event| event.payload.as_str()).collect(),
            created_at: each().map(|event| event.created_at).collect(),
        }
    }
}

impl QueryId for Insert<'_> {
    type QueryId = Insert<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // BETWEEN, ordered, is served by the index alone. EXISTS under a plan that was made while the table was empty would read
        // the whole table for each batch.
        out.push_sql(
            "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at) \
             SELECT CASE WHEN (SELECT true FROM waiting_events AS known WHERE known.id BETWEEN t.id AND t.id \
             ORDER BY known.id LIMIT 1) IS NOT NULL \
             THEN least(0, (SELECT min(id) FROM waiting_events)) - row_number() OVER () ELSE id END, \
             order_id, version, kind, payload::json, created_at FROM unnest(",
        );
        out.push_bind_param::<Array<BigInt>, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<sql_types::Uuid>, _>(&self.order_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.version)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.payload)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.created_at)?;
        out.push_sql(") AS t (id, order_id, version, kind, payload, created_at)");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Insert<'_> {}

#[derive(QueryId)]
struct FindWindow {
    after: i64,
    size: i64,
}

impl Query for FindWindow {
    type SqlType = (Nullable<BigInt>, BigInt);
}

impl QueryFragment<Pg> for FindWindow {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT max(id), count(*) FROM (SELECT id FROM waiting_events WHERE id > ");
        out.push_bind_param::<BigInt, _>(&self.after)?;
        out.push_sql(" ORDER BY id LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.size)?;
        out.push_sql(") AS next");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for FindWindow {}

impl Window {
    fn push_condition<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(" w.id > ");
        out.push_bind_param::<BigInt, _>(&self.after)?;
        out.push_sql(" AND w.id <= ");
        out.push_bind_param::<BigInt, _>(&self.up_to)
    }
}

#[derive(QueryId)]
struct ClaimUnlocked(Window, ClaimLimits);

impl Query for ClaimUnlocked {
    type SqlType = (BigInt, Text, Text, Timestamptz, Timestamptz);
}

impl QueryFragment<Pg> for ClaimUnlocked {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // BETWEEN, ordered, is served by the primary key of the summaries alone, also by a plan that was made while they were
        // empty.
        let locked = |out: &mut AstPass<'_, 'b, Pg>| {
            out.push_sql(
                "SELECT w.id, w.kind, w.payload, w.created_at FROM waiting_events AS w \
                 CROSS JOIN LATERAL (SELECT FROM order_summary AS o \
                 WHERE o.order_id BETWEEN w.order_id AND w.order_id ORDER BY o.order_id LIMIT 1 \
                 FOR NO KEY UPDATE SKIP LOCKED) AS unlocked WHERE",
            );
            self.0.push_condition(out)?;
            out.push_sql(" ORDER BY w.id LIMIT ");
            out.push_bind_param::<BigInt, _>(&self.1.events)?;
            out.push_sql(" FOR UPDATE OF w SKIP LOCKED");
            Ok(())
        };
        let columns = "id, kind, payload::text, created_at, statement_timestamp()";
        push_those_that_fit(&mut out, columns, |out| push_measured(out, "*", locked), &self.1.bytes)
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for ClaimUnlocked {}

#[derive(QueryId)]
struct ClaimWithoutRow(Window, ClaimLimits);

impl Query for ClaimWithoutRow {
    type SqlType = (BigInt, Text, Text, Timestamptz, Timestamptz);
}

impl QueryFragment<Pg> for ClaimWithoutRow {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let locked = |out: &mut AstPass<'_, 'b, Pg>| {
            out.push_sql(
                "SELECT w.id, w.kind, w.payload, w.created_at \
                 FROM waiting_events AS w WHERE",
            );
            self.0.push_condition(out)?;
            out.push_sql(
                " AND (SELECT true FROM order_summary AS o WHERE o.order_id BETWEEN w.order_id AND w.order_id \
                 ORDER BY o.order_id LIMIT 1) IS NULL ORDER BY w.id LIMIT ",
            );
            out.push_bind_param::<BigInt, _>(&self.1.events)?;
            out.push_sql(" FOR UPDATE OF w SKIP LOCKED");
            Ok(())
        };
        let columns = "id, kind, payload::text, created_at, statement_timestamp()";
        push_those_that_fit(&mut out, columns, |out| push_measured(out, "*", locked), &self.1.bytes)
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for ClaimWithoutRow {}

#[derive(QueryId)]
struct Remove {
    ids: Vec<i64>,
}

impl QueryFragment<Pg> for Remove {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("DELETE FROM waiting_events WHERE id = ANY(");
        out.push_bind_param::<Array<BigInt>, _>(&self.ids)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Remove {}

#[derive(QueryId)]
struct IsAny;

impl Query for IsAny {
    type SqlType = Bool;
}

impl QueryFragment<Pg> for IsAny {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT EXISTS (SELECT FROM waiting_events)");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for IsAny {}
