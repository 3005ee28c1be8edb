//! `order_summary`: the newest state of each order, in one flat row.

mod limits;
mod lock_rows;
mod rows_tried;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{self, Array, BigInt, Integer, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::statement;
use shared_events::{OrderEvent, OrderState};
use uuid::Uuid;

use super::Projection;

/// Keeps `order_summary`. An event carries the order's whole state, so only the newest version counts.
pub struct OrderSummary;

impl Projection for OrderSummary {
    fn name(&self) -> &'static str {
        "order_summary"
    }

    fn refuses(&self, event: &OrderEvent) -> Option<String> {
        limits::first_violation(&event.order)
    }

    fn lock_rows<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<Vec<usize>>> {
        lock_rows::lock_rows(connection, events).boxed()
    }

    fn rows_tried<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
    ) -> BoxFuture<'a, QueryResult<Option<i64>>> {
        rows_tried::rows_tried(connection).map(|rows| rows.map(Some)).boxed()
    }

    fn row_order(&self, events: &[&OrderEvent]) -> Vec<usize> {
        newest_positions(events).into_values().collect()
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            let upsert = Upsert::new(newest_states(events));
            RunQueryDsl::execute(upsert, connection).await.map(drop)
        }
        .boxed()
    }
}

/// The position of the event with the highest version of each order, by order id. One statement must not write a row
/// twice, and two workers that lock rows in the same order cannot deadlock.
fn newest_positions(events: &[&OrderEvent]) -> BTreeMap<Uuid, usize> {
    let version = |position: usize| events.get(position).map(|event| event.order.version);
    let mut newest: BTreeMap<Uuid, usize> = BTreeMap::new();
    for (position, OrderEvent { order, .. }) in events.iter().enumerate() {
        newest
            .entry(order.order_id)
            .and_modify(|known| {
                if version(*known) < Some(order.version) {
                    *known = position;
                }
            })
            .or_insert(position);
    }
    newest
}

fn newest_states<'a>(events: &[&'a OrderEvent]) -> impl Iterator<Item = &'a OrderState> {
    newest_positions(events)
        .into_values()
        .filter_map(|position| events.get(position).copied())
        .map(|event| &event.order)
}

statement! {
    /// One array a column, so that the text is the same for a batch of any size and stays prepared.
    #[derive(Default)]
    struct Upsert<'a> = "order_summary.sql" {
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        customer_id: Vec<&'a str> as Array<Text>,
        total_cents: Vec<i64> as Array<BigInt>,
        status: Vec<&'static str> as Array<Text>,
        placed_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        item_count: Vec<i32> as Array<Integer>,
        last_item_sku: Vec<&'a str> as Array<Text>,
        version: Vec<i32> as Array<Integer>,
    }
}

impl<'a> Upsert<'a> {
    fn new(states: impl Iterator<Item = &'a OrderState>) -> Self {
        let mut rows = Self::default();
        for state in states {
            rows.order_id.push(state.order_id);
            rows.customer_id.push(&state.customer_id);
            rows.total_cents.push(state.total_cents);
            rows.status.push(state.status.as_str());
            rows.placed_at.push(state.placed_at);
            rows.item_count.push(state.item_count);
            rows.last_item_sku.push(&state.last_item_sku);
            rows.version.push(state.version);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use shared_events::{OrderChange, OrderFacts, OrderStatus};

    use super::*;

    fn event(order: u128, version: i32) -> OrderEvent {
        let state = OrderState {
            order_id: Uuid::from_u128(order),
            customer_id: "customer".to_owned(),
            status: OrderStatus::Paid,
            version,
            total_cents: 1,
            item_count: 1,
            last_item_sku: "sku".to_owned(),
            placed_at: DateTime::UNIX_EPOCH,
        };
        OrderEvent::new(state, OrderFacts::default(), OrderChange::Paid, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn each_order_appears_once_with_its_highest_version_sorted_by_id() {
        let events = [event(2, 1), event(1, 3), event(2, 2), event(1, 1), event(1, 3)];
        let events: Vec<_> = events.iter().collect();
        let rows = Upsert::new(newest_states(&events));
        assert_eq!(rows.order_id, [Uuid::from_u128(1), Uuid::from_u128(2)]);
        assert_eq!(rows.version, [3, 2]);
    }
}
