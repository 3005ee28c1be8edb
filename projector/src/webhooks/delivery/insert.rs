//! Adds deliveries, and parks events that cannot be delivered.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{self, Array, BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use uuid::Uuid;

use super::super::endpoint::Endpoint;
use crate::event_log::LoggedEvent;

/// An event to deliver.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery<'a> {
    /// Its position in the event log.
    pub position: i64,
    /// Its order.
    pub order_id: Uuid,
    /// The same in every copy of it.
    pub event_id: Uuid,
    /// The name of its kind.
    pub kind: &'a str,
    /// The event as it was written.
    pub payload: &'a str,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was written to the event log.
    pub recorded_at: DateTime<Utc>,
    /// The trace context of the request that wrote it, if its trace is recorded.
    pub traceparent: Option<&'a str>,
}

/// Adds deliveries of each event to its endpoints, except those that wait already. Each payload is sent to the server
/// once.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    deliveries: &[(NewDelivery<'_>, &[i64])],
) -> QueryResult<()> {
    let mut rows = Insert::default();
    for (delivery, endpoints) in deliveries {
        rows.position.push(delivery.position);
        rows.order_id.push(delivery.order_id);
        rows.event_id.push(delivery.event_id);
        rows.kind.push(delivery.kind);
        rows.payload.push(delivery.payload);
        rows.occurred_at.push(delivery.occurred_at);
        rows.recorded_at.push(delivery.recorded_at);
        rows.traceparent.push(delivery.traceparent);
        rows.endpoints.push(array_literal(endpoints));
    }
    RunQueryDsl::execute(rows, connection).await.map(drop)
}

/// PostgreSQL has no arrays of arrays of different lengths.
fn array_literal(numbers: &[i64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(i64::to_string).collect();
    format!("{{{}}}", numbers.join(","))
}

/// An event that cannot be delivered.
#[derive(Debug, Clone)]
pub struct Unusable<'a> {
    /// The event.
    pub event: &'a LoggedEvent,
    /// What is wrong with it.
    pub reason: String,
}

/// Parks events that cannot be delivered to `endpoint`. Only an operator can decide about them.
pub async fn park_unusable(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    unusable: &[Unusable<'_>],
) -> QueryResult<()> {
    let mut rows = ParkUnusable { subscription: Endpoint::subscription(endpoint), ..ParkUnusable::default() };
    for Unusable { event, reason } in unusable {
        rows.position.push(event.position);
        rows.kind.push(&event.kind);
        rows.payload.push(&event.payload);
        rows.recorded_at.push(event.recorded_at);
        rows.traceparent.push(event.traceparent.as_deref());
        rows.error.push(reason);
    }
    RunQueryDsl::execute(rows, connection).await.map(drop)
}

statement! {
    #[derive(Default)]
    struct Insert<'a> = "insert.sql" {
        position: Vec<i64> as Array<BigInt>,
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        kind: Vec<&'a str> as Array<Text>,
        payload: Vec<&'a str> as Array<Text>,
        occurred_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        recorded_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        traceparent: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        endpoints: Vec<String> as Array<Text>,
    }
}

statement! {
    #[derive(Default)]
    struct ParkUnusable<'a> = "park_unusable.sql" {
        subscription: String as Text,
        position: Vec<i64> as Array<BigInt>,
        kind: Vec<&'a str> as Array<Text>,
        payload: Vec<&'a str> as Array<Text>,
        recorded_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        traceparent: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        error: Vec<&'a str> as Array<Text>,
    }
}
