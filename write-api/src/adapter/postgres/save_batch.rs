//! The statement that stores orders with their events.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use shared_events::OrderEvent;
use uuid::Uuid;

use super::row::ItemColumn;
use super::shared_text::SharedText;
use crate::domain::Order;

/// One order to store, as its row and its event's row.
#[derive(Debug)]
pub(super) struct SaveRow {
    pub(super) order_id: Uuid,
    pub(super) version: i32,
    /// Tells this attempt to store the order from every other one.
    pub(super) attempt: i64,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    customer_id: SharedText,
    /// JSON; only a new order brings its items, which never change.
    items: Option<SharedText>,
    total_cents: i64,
    status: &'static str,
    kind: &'static str,
    payload: SharedText,
}

/// An order or event that cannot be written as JSON. No value of either is known to cause it.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    #[error(transparent)]
    Event(#[from] shared_events::EncodeError),
    #[error("the items cannot be encoded")]
    Items(#[from] serde_json::Error),
}

impl SaveRow {
    pub(super) fn new(order: &Order, event: &OrderEvent) -> Result<Self, EncodeError> {
        let event = event.encode()?;
        let items = || order.lines().as_slice().iter().map(ItemColumn::from).collect::<Vec<_>>();
        let items = (order.version() == 1).then(|| serde_json::to_string(&items())).transpose()?;
        Ok(Self {
            order_id: order.id(),
            version: order.version(),
            attempt: fastrand::i64(..),
            placed_at: order.placed_at(),
            updated_at: order.updated_at(),
            customer_id: order.customer().as_str().to_owned().into(),
            items: items.map(SharedText::from),
            total_cents: order.lines().total().get(),
            status: order.status().as_str(),
            kind: event.kind,
            payload: event.payload.into(),
        })
    }

    /// About how many bytes it has, in memory as on the way to PostgreSQL.
    pub(super) fn bytes(&self) -> usize {
        let texts = [Some(&self.customer_id), self.items.as_ref(), Some(&self.payload)];
        size_of::<Self>() + texts.into_iter().flatten().map(SharedText::bytes).sum::<usize>()
    }
}

/// Stores any number of orders, each with its event, in one statement and hence one transaction. It returns the ids of
/// the orders that it stored.
///
/// - `placed` inserts new orders. One whose id is taken is left out; an insert of the same id that is in flight
///   elsewhere is waited for. Rows come sorted by id, so that two batches cannot wait for each other.
/// - `free` locks the rows that are to change and still have the version that the change was computed from. A row that
///   somebody else has locked is left out rather than waited for: it must not hold up its neighbours.
/// - No plan may begin with `orders` and read all of it. While the table is empty such a plan is as good as any, and it is kept
///   when the table grows. So `free` looks each of them up in a subquery, which is never made a join because it locks rows, and
///   `changed` goes to the places of these rows: they cannot move while they are locked. (A row that somebody has touched
///   since the statement began is locked at its new place, where the statement does not see it: it is left out, too.) Together
///   with [`BY_KEY_ONLY`](crate::BY_KEY_ONLY) that is by index and by place only. Places are those of one table: `orders` has
///   no partitions.
/// - Events are inserted from what was stored: no order, no event. By that dependency a transaction also has its id from
///   writing an order before it draws an outbox id, which the projector relies on to tell which ids can still appear.
///   `IS TRUE` keeps the planner from turning the look-up, which it hashes, into a join, which it may not hash here.
///
/// Row locks last until the statement's commit.
#[derive(Default, QueryId)]
pub(super) struct SaveBatch {
    order_id: Vec<Uuid>,
    customer_id: Vec<SharedText>,
    items: Vec<Option<SharedText>>,
    total_cents: Vec<i64>,
    status: Vec<&'static str>,
    version: Vec<i32>,
    placed_at: Vec<DateTime<Utc>>,
    updated_at: Vec<DateTime<Utc>>,
    kind: Vec<&'static str>,
    payload: Vec<SharedText>,
    attempt: Vec<i64>,
}

impl SaveBatch {
    /// No two rows may be of one order.
    pub(super) fn of<'a>(rows: impl IntoIterator<Item = &'a SaveRow>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_unstable_by_key(|row| row.order_id);
        let mut batch = Self::default();
        for row in rows {
            batch.order_id.push(row.order_id);
            batch.customer_id.push(row.customer_id.clone());
            batch.items.push(row.items.clone());
            batch.total_cents.push(row.total_cents);
            batch.status.push(row.status);
            batch.version.push(row.version);
            batch.placed_at.push(row.placed_at);
            batch.updated_at.push(row.updated_at);
            batch.kind.push(row.kind);
            batch.payload.push(row.payload.clone());
            batch.attempt.push(row.attempt);
        }
        batch
    }
}

impl Query for SaveBatch {
    type SqlType = sql_types::Uuid;
}

/// One text for batches of any size and mixture, so that diesel keeps the prepared statement.
impl QueryFragment<Pg> for SaveBatch {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        use sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
        out.push_sql("WITH input AS (SELECT * FROM unnest(");
        out.push_bind_param::<Array<sql_types::Uuid>, _>(&self.order_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.customer_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.items)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.total_cents)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.status)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.version)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.placed_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.updated_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.payload)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.attempt)?;
        out.push_sql(
            ") AS t (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at, kind, payload, attempt)), \
             placed AS (\
             INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at, write_attempts) \
             SELECT order_id, customer_id, items::jsonb, total_cents, status, version, placed_at, updated_at, ARRAY[attempt] \
             FROM input WHERE version = 1 ON CONFLICT (order_id) DO NOTHING RETURNING order_id), \
             step AS (SELECT order_id, status, version, updated_at, attempt FROM input WHERE version > 1), \
             free AS (\
             SELECT step.*, found.place FROM step CROSS JOIN LATERAL (\
             SELECT o.ctid AS place FROM orders o WHERE o.order_id = step.order_id AND o.version = step.version - 1 \
             FOR UPDATE SKIP LOCKED) AS found), \
             changed AS (\
             UPDATE orders o SET status = free.status, version = free.version, updated_at = free.updated_at, \
             write_attempts = (free.attempt || o.write_attempts)[1:8] \
             FROM free WHERE o.ctid = free.place RETURNING o.order_id), \
             saved AS (SELECT order_id FROM placed UNION ALL SELECT order_id FROM changed), \
             told AS (\
             INSERT INTO outbox (kind, payload) SELECT kind, payload::json FROM input \
             WHERE (order_id IN (SELECT order_id FROM saved)) IS TRUE) \
             SELECT order_id FROM saved",
        );
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for SaveBatch {}
