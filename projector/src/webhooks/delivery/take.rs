//! Leases deliveries that are due.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{self, BigInt, Integer, Text, Timestamptz};
use diesel::{OptionalExtension, QueryResult};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use super::super::milliseconds;

/// A leased delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The event's position in the event log.
    pub position: i64,
    /// The event's id.
    pub event_id: Uuid,
    /// The name of its kind.
    pub kind: String,
    /// The event as it was written.
    pub payload: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// How often it has failed.
    pub failures: i32,
    /// The number of this lease.
    pub fence: i64,
}

/// How many deliveries are leased, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most that this process wants.
    pub wanted: i64,
    /// Most leases of the endpoint in all processes,
    pub in_flight_max: i64,
    /// or one, after this many failures in a row.
    pub failures_until_probes: i32,
    /// How long the lease lasts.
    pub lease: Duration,
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The endpoint's failures since its last success.
    pub failures_in_a_row: i32,
    /// The deliveries, by position.
    pub deliveries: Vec<Leased>,
}

/// Leases deliveries of `endpoint` that are due. None if it is paused or has to wait, or if another process is taking
/// deliveries of it at this moment.
pub async fn take(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    limits: Limits,
) -> QueryResult<Option<Taken>> {
    connection
        .transaction(async |connection| {
            let locked: Option<i32> =
                RunQueryDsl::get_result(LockEndpoint { endpoint }, connection).await.optional()?;
            let Some(failures_in_a_row) = locked else { return Ok(None) };
            let is_probe = failures_in_a_row >= limits.failures_until_probes;
            let take = Take {
                endpoint,
                in_flight_max: if is_probe { 1 } else { limits.in_flight_max },
                wanted: limits.wanted,
                lease_ms: milliseconds(limits.lease),
            };
            let rows: Vec<Row> = RunQueryDsl::load(take, connection).await?;
            let mut deliveries: Vec<_> = rows.into_iter().map(leased).collect();
            deliveries.sort_unstable_by_key(|delivery| delivery.position);
            Ok(Some(Taken { failures_in_a_row, deliveries }))
        })
        .await
}

type Row = (i64, Uuid, String, String, StoredTime, i32, i64);

fn leased((position, event_id, kind, payload, occurred_at, failures, fence): Row) -> Leased {
    Leased { position, event_id, kind, payload, occurred_at: occurred_at.clamped(), failures, fence }
}

statement! {
    struct LockEndpoint = "lock_endpoint.sql" -> Integer {
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct Take = "take.sql" -> (BigInt, sql_types::Uuid, Text, Text, Timestamptz, Integer, BigInt) {
        endpoint: i64 as BigInt,
        in_flight_max: i64 as BigInt,
        wanted: i64 as BigInt,
        lease_ms: i64 as BigInt,
    }
}
