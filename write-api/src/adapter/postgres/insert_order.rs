//! The statement that stores an order with its event.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use shared_events::EncodedEvent;
use uuid::Uuid;

use super::row::ItemColumn;
use crate::domain::Order;

/// One statement, hence one transaction and one round trip. The event is inserted from the order's RETURNING: no order,
/// no event; and a transaction has its id from writing the order before it draws an outbox id, which the projector
/// relies on to tell which ids can still appear.
///
/// It affects one row when the order is new, and none when an order of this id exists. An insert of the same id that is
/// in flight elsewhere is waited for.
pub(super) struct InsertOrder<'a> {
    order_id: Uuid,
    customer_id: &'a str,
    items: String,
    total_cents: i64,
    status: &'static str,
    version: i32,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    kind: &'static str,
    payload: String,
}

impl<'a> InsertOrder<'a> {
    pub(super) fn new(order: &'a Order, event: EncodedEvent) -> Result<Self, serde_json::Error> {
        let items: Vec<_> = order.lines().as_slice().iter().map(ItemColumn::from).collect();
        Ok(Self {
            order_id: order.id(),
            customer_id: order.customer().as_str(),
            items: serde_json::to_string(&items)?,
            total_cents: order.lines().total().get(),
            status: order.status().as_str(),
            version: order.version(),
            placed_at: order.placed_at(),
            updated_at: order.updated_at(),
            kind: event.kind,
            payload: event.payload,
        })
    }
}

/// One text for all orders, so that diesel keeps the prepared statement.
impl QueryId for InsertOrder<'_> {
    type QueryId = InsertOrder<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for InsertOrder<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH placed AS (INSERT INTO orders \
             (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at) VALUES (",
        );
        out.push_bind_param::<sql_types::Uuid, _>(&self.order_id)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Text, _>(self.customer_id)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Text, _>(&self.items)?;
        out.push_sql("::jsonb, ");
        out.push_bind_param::<sql_types::BigInt, _>(&self.total_cents)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Text, _>(self.status)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Integer, _>(&self.version)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Timestamptz, _>(&self.placed_at)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Timestamptz, _>(&self.updated_at)?;
        out.push_sql(
            ") ON CONFLICT (order_id) DO NOTHING RETURNING order_id) INSERT INTO outbox (kind, payload) SELECT ",
        );
        out.push_bind_param::<sql_types::Text, _>(self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Text, _>(&self.payload)?;
        out.push_sql("::jsonb FROM placed");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for InsertOrder<'_> {}
