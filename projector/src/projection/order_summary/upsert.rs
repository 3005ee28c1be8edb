//! The statement that writes `order_summary`, with one row for each order of a batch.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::{self, Array, BigInt, Integer, Json, Nullable, Text, Timestamptz};
use service_kit::statement;
use shared_events::{OrderEvent, OrderFacts, OrderItem};
use uuid::Uuid;

statement! {
    /// One array a column, so that the text is the same for a batch of any size and stays prepared.
    #[derive(Default)]
    pub(super) struct Upsert<'a> = "order_summary.sql" {
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        customer_id: Vec<&'a str> as Array<Text>,
        total_cents: Vec<i64> as Array<BigInt>,
        status: Vec<&'static str> as Array<Text>,
        placed_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        item_count: Vec<i32> as Array<Integer>,
        last_item_sku: Vec<&'a str> as Array<Text>,
        version: Vec<i32> as Array<Integer>,
        currency: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        items: Vec<Option<Items<'a>>> as Array<Nullable<Json>>,
        carrier: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        tracking_number: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        cancel_reason: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        paid_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        shipped_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        delivered_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        cancelled_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
    }
}

impl<'a> Upsert<'a> {
    /// One row for each order, by order id: one statement must not write a row twice, and two workers that lock rows in
    /// the same order cannot deadlock.
    pub(super) fn new(events: &[&'a OrderEvent]) -> Self {
        let mut rows = Self::default();
        let events: Vec<_> = sorted_positions(events)
            .into_iter()
            .filter_map(|position| events.get(position).copied())
            .collect();
        for order in events.chunk_by(|one, next| one.order.order_id == next.order.order_id) {
            rows.push(order);
        }
        rows.shorten_empty_columns();
        rows
    }

    /// Adds the row of an order from its events, newest first.
    fn push(&mut self, events: &[&'a OrderEvent]) {
        let Some(OrderEvent { order: state, .. }) = events.first() else { return };
        self.order_id.push(state.order_id);
        self.customer_id.push(&state.customer_id);
        self.total_cents.push(state.total_cents);
        self.status.push(state.status.as_str());
        self.placed_at.push(state.placed_at);
        self.item_count.push(state.item_count);
        self.last_item_sku.push(&state.last_item_sku);
        self.version.push(state.version);
        self.currency.push(fact(events, |facts| facts.currency.as_deref()));
        self.items.push(fact(events, |facts| facts.items.as_deref()).map(Items));
        self.carrier.push(fact(events, |facts| facts.carrier.as_deref()));
        self.tracking_number.push(fact(events, |facts| facts.tracking_number.as_deref()));
        self.cancel_reason.push(fact(events, |facts| facts.cancel_reason.as_deref()));
        self.paid_at.push(fact(events, |facts| facts.paid_at));
        self.shipped_at.push(fact(events, |facts| facts.shipped_at));
        self.delivered_at.push(fact(events, |facts| facts.delivered_at));
        self.cancelled_at.push(fact(events, |facts| facts.cancelled_at));
    }

    /// Most batches have no event with some of the facts. PostgreSQL fills up an empty array with NULLs, which is
    /// cheaper than to send and read them.
    fn shorten_empty_columns(&mut self) {
        shorten_if_empty(&mut self.currency);
        shorten_if_empty(&mut self.items);
        shorten_if_empty(&mut self.carrier);
        shorten_if_empty(&mut self.tracking_number);
        shorten_if_empty(&mut self.cancel_reason);
        shorten_if_empty(&mut self.paid_at);
        shorten_if_empty(&mut self.shipped_at);
        shorten_if_empty(&mut self.delivered_at);
        shorten_if_empty(&mut self.cancelled_at);
    }
}

/// A fact of an order, from the first of its events that carries it.
fn fact<'a, T>(events: &[&'a OrderEvent], read: impl Fn(&'a OrderFacts) -> Option<T>) -> Option<T> {
    events.iter().find_map(|event| read(&event.facts))
}

fn shorten_if_empty<T>(column: &mut Vec<Option<T>>) {
    if column.iter().all(Option::is_none) {
        column.clear();
    }
}

/// The positions of the events by order id, those of an order by version, highest first.
fn sorted_positions(events: &[&OrderEvent]) -> Vec<usize> {
    let mut positions: Vec<_> = (0..events.len()).collect();
    positions.sort_by_key(|position| {
        events.get(*position).map(|event| (event.order.order_id, Reverse(event.order.version)))
    });
    positions
}

/// The position of the event with the highest version of each order, by order id.
pub(super) fn newest_positions(events: &[&OrderEvent]) -> Vec<usize> {
    let mut positions = sorted_positions(events);
    positions.dedup_by_key(|position| events.get(*position).map(|event| event.order.order_id));
    positions
}

/// Items as the read model stores them: a JSON array of objects.
#[derive(Debug, Clone, Copy)]
struct Items<'a>(&'a [OrderItem]);

impl ToSql<Json, Pg> for Items<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        serde_json::to_writer(out, self.0)?;
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use shared_events::{OrderChange, OrderState, OrderStatus};

    use super::*;

    fn event(order: u128, version: i32, facts: OrderFacts) -> OrderEvent {
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
        OrderEvent::new(state, facts, OrderChange::Paid, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn each_order_appears_once_with_its_highest_version_sorted_by_id() {
        let events = [(2, 1), (1, 3), (2, 2), (1, 1), (1, 3)]
            .map(|(order, version)| event(order, version, OrderFacts::default()));
        let events: Vec<_> = events.iter().collect();
        let rows = Upsert::new(&events);
        assert_eq!(rows.order_id, [Uuid::from_u128(1), Uuid::from_u128(2)]);
        assert_eq!(rows.version, [3, 2]);
        assert_eq!(newest_positions(&events), [1, 2]);
    }

    #[test]
    fn each_fact_comes_from_any_event_that_carries_it() {
        let carrier = |name: &str| OrderFacts { carrier: Some(name.to_owned()), ..OrderFacts::default() };
        let currency = OrderFacts { currency: Some("EUR".to_owned()), ..OrderFacts::default() };
        let events = [
            event(1, 1, currency),
            event(1, 3, OrderFacts::default()),
            event(1, 2, carrier("DHL")),
            event(2, 1, OrderFacts::default()),
        ];
        let rows = Upsert::new(&events.iter().collect::<Vec<_>>());
        assert_eq!(rows.version, [3, 1]);
        assert_eq!(rows.currency, [Some("EUR"), None]);
        assert_eq!(rows.carrier, [Some("DHL"), None]);
        assert_eq!(rows.tracking_number, [], "no event has one");
    }
}
