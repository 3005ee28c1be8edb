//! Adds deliveries, counts those that wait, and parks events that cannot be delivered.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{self, Array, BigInt, Text, Timestamptz};
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
}

/// Adds deliveries of `endpoint`, except those that wait already.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    deliveries: &[NewDelivery<'_>],
) -> QueryResult<()> {
    let mut rows = Insert { endpoint, ..Insert::default() };
    for delivery in deliveries {
        rows.position.push(delivery.position);
        rows.order_id.push(delivery.order_id);
        rows.event_id.push(delivery.event_id);
        rows.kind.push(delivery.kind);
        rows.payload.push(delivery.payload);
        rows.occurred_at.push(delivery.occurred_at);
        rows.recorded_at.push(delivery.recorded_at);
    }
    RunQueryDsl::execute(rows, connection).await.map(drop)
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
        rows.error.push(reason);
    }
    RunQueryDsl::execute(rows, connection).await.map(drop)
}

/// How many deliveries of `endpoint` wait, counted up to `max`.
pub async fn count_waiting(connection: &mut AsyncPgConnection, endpoint: i64, max: i64) -> QueryResult<i64> {
    RunQueryDsl::get_result(CountWaiting { endpoint, max }, connection).await
}

statement! {
    #[derive(Default)]
    struct Insert<'a> = "insert.sql" {
        endpoint: i64 as BigInt,
        position: Vec<i64> as Array<BigInt>,
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        kind: Vec<&'a str> as Array<Text>,
        payload: Vec<&'a str> as Array<Text>,
        occurred_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        recorded_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
    }
}

statement! {
    struct CountWaiting = "count_waiting.sql" -> BigInt {
        endpoint: i64 as BigInt,
        max: i64 as BigInt,
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
        error: Vec<&'a str> as Array<Text>,
    }
}
