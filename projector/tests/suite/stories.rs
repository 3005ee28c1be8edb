//! Whole orders: the events that builds of different age write for them, and the row that must come of these.

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use shared_events::{EncodedEvent, OrderChange, OrderEvent, OrderFacts, OrderItem, OrderState, OrderStatus};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::support::{Scene, order_id, placed_at};

/// An order that was paid, shipped and delivered, or cancelled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Story {
    pub(crate) order: u128,
    /// The version that is the cancellation, if there is one.
    pub(crate) cancelled_as: Option<i32>,
}

/// Which build wrote an event, and which facts the event therefore carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The facts of the change only, and no times of steps.
    Older,
    /// All facts but the items, which only placed and republished events carry.
    WithoutItems,
    /// All facts.
    Whole,
}

impl Writer {
    pub(crate) const ALL: [Self; 3] = [Self::Older, Self::WithoutItems, Self::Whole];
}

impl Story {
    pub(crate) fn new(order: u128) -> Self {
        Self { order, cancelled_as: None }
    }

    /// The event of this version. Its total depends on the version, so a row that mixes versions is noticed.
    pub(crate) fn event(self, version: i32, is_republished: bool) -> OrderEvent {
        let (status, change) = match version {
            _ if self.cancelled_as == Some(version) => (OrderStatus::Cancelled, OrderChange::Cancelled),
            1 => (OrderStatus::Placed, OrderChange::Placed),
            2 => (OrderStatus::Paid, OrderChange::Paid),
            3 => (OrderStatus::Shipped, OrderChange::Shipped),
            _ => (OrderStatus::Delivered, OrderChange::Delivered),
        };
        let change = if is_republished { OrderChange::Republished } else { change };
        let state = OrderState {
            order_id: order_id(self.order),
            customer_id: "customer".to_owned(),
            status,
            version,
            total_cents: i64::from(version) * 100,
            item_count: 1,
            last_item_sku: "sku".to_owned(),
            placed_at: placed_at(),
        };
        OrderEvent::new(state, self.facts(version), change, time_of(version))
    }

    /// What was known of the order at this version.
    fn facts(self, version: i32) -> OrderFacts {
        let order = self.order;
        let reached =
            |step: i32| version >= step && self.cancelled_as.is_none_or(|cancelled| cancelled > step);
        let is_cancelled = self.cancelled_as.is_some_and(|cancelled| version >= cancelled);
        let item = OrderItem { sku: format!("\"sku\" {order}"), quantity: 1, price_cents: 100 };
        OrderFacts {
            items: Some(vec![item; 3]),
            currency: Some("EUR".to_owned()),
            carrier: reached(3).then(|| format!("carrier {order}")),
            tracking_number: reached(3).then(|| format!("number {order}")),
            cancel_reason: is_cancelled.then(|| format!("reason {order}")),
            paid_at: reached(2).then(|| time_of(2)),
            shipped_at: reached(3).then(|| time_of(3)),
            delivered_at: reached(4).then(|| time_of(4)),
            cancelled_at: self.cancelled_as.filter(|_| is_cancelled).map(time_of),
        }
    }

    /// The event of this version, as `writer` writes it.
    pub(crate) fn encoded(self, version: i32, is_republished: bool, writer: Writer) -> Result<EncodedEvent> {
        let event = self.event(version, is_republished);
        let mut encoded = event.encode()?;
        let mut payload: Value = serde_json::from_str(&encoded.payload)?;
        let fields = payload.as_object_mut().context("not an object")?;
        fields.retain(|field, _| writes(writer, event.change, field));
        encoded.payload = payload.to_string();
        Ok(encoded)
    }

    /// The event of this version, as a projector reads what `writer` writes.
    pub(crate) fn decoded(self, version: i32, is_republished: bool, writer: Writer) -> Result<OrderEvent> {
        let encoded = self.encoded(version, is_republished, writer)?;
        Ok(OrderEvent::decode(encoded.kind, &encoded.payload)?)
    }
}

fn time_of(version: i32) -> DateTime<Utc> {
    placed_at() + TimeDelta::minutes(i64::from(version))
}

fn writes(writer: Writer, change: OrderChange, field: &str) -> bool {
    let is_in_all = ["event_id", "schema_version", "occurred_at", "order"].contains(&field);
    let is_of_change = match change {
        OrderChange::Placed => field == "items",
        OrderChange::Shipped => ["carrier", "tracking_number"].contains(&field),
        OrderChange::Cancelled => field == "reason",
        OrderChange::Paid | OrderChange::Delivered | OrderChange::Republished => false,
    };
    let has_items = [OrderChange::Placed, OrderChange::Republished].contains(&change);
    match writer {
        Writer::Older => is_in_all || is_of_change,
        Writer::WithoutItems => field != "items" || has_items,
        Writer::Whole => true,
    }
}

/// A row of `order_summary`, without the columns that say when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) state: OrderState,
    pub(crate) facts: OrderFacts,
}

impl Summary {
    /// The row that these events lead to: the state of the highest version, and each fact that any of them carries.
    pub(crate) fn of<'a>(events: impl IntoIterator<Item = &'a OrderEvent>) -> Option<Self> {
        let rows = events.into_iter().map(|event| {
            let (state, facts) = (event.order.clone(), event.facts.clone());
            Self { state, facts }
        });
        rows.reduce(|one, other| Self {
            facts: union(one.facts, other.facts),
            state: if one.state.version < other.state.version { other.state } else { one.state },
        })
    }

    pub(crate) async fn all(scene: &Scene) -> Result<Vec<Self>> {
        let rows =
            "SELECT order_id::text, customer_id, status, version, total_cents, item_count, last_item_sku,
                        placed_at, items::text, currency, carrier, tracking_number, cancel_reason, paid_at,
                        shipped_at, delivered_at, cancelled_at
                    FROM order_summary ORDER BY order_id";
        scene.session.query(rows, &[]).await?.iter().map(Self::read).collect()
    }

    fn read(row: &Row) -> Result<Self> {
        let time = |column| row.get::<_, Option<std::time::SystemTime>>(column).map(DateTime::from);
        let status =
            OrderStatus::ALL.into_iter().find(|status| status.as_str() == row.get::<_, &str>("status"));
        let state = OrderState {
            order_id: Uuid::parse_str(row.get("order_id"))?,
            customer_id: row.get("customer_id"),
            status: status.context("an unknown status")?,
            version: row.get("version"),
            total_cents: row.get("total_cents"),
            item_count: row.get("item_count"),
            last_item_sku: row.get("last_item_sku"),
            placed_at: time("placed_at").context("no time")?,
        };
        let items: Option<&str> = row.get("items");
        let facts = OrderFacts {
            items: items.map(serde_json::from_str).transpose()?,
            currency: row.get("currency"),
            carrier: row.get("carrier"),
            tracking_number: row.get("tracking_number"),
            cancel_reason: row.get("cancel_reason"),
            paid_at: time("paid_at"),
            shipped_at: time("shipped_at"),
            delivered_at: time("delivered_at"),
            cancelled_at: time("cancelled_at"),
        };
        Ok(Self { state, facts })
    }
}

fn union(one: OrderFacts, other: OrderFacts) -> OrderFacts {
    OrderFacts {
        items: one.items.or(other.items),
        currency: one.currency.or(other.currency),
        carrier: one.carrier.or(other.carrier),
        tracking_number: one.tracking_number.or(other.tracking_number),
        cancel_reason: one.cancel_reason.or(other.cancel_reason),
        paid_at: one.paid_at.or(other.paid_at),
        shipped_at: one.shipped_at.or(other.shipped_at),
        delivered_at: one.delivered_at.or(other.delivered_at),
        cancelled_at: one.cancelled_at.or(other.cancelled_at),
    }
}
