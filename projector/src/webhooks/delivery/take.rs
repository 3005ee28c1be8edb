//! Leases deliveries that are due.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{self, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel::{OptionalExtension, QueryResult};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use super::super::milliseconds;
use super::Backlogs;

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
    /// When it failed first, if it has.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// The number of this lease.
    pub fence: i64,
    /// The trace context of the request that wrote the event, if its trace is recorded.
    pub traceparent: Option<String>,
}

/// How many deliveries are leased, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most that this process wants.
    pub wanted: i64,
    /// Most bytes of their payloads. The first one is taken even if it is larger.
    pub max_bytes: i64,
    /// Most leases of the endpoint in all processes,
    pub in_flight_max: i64,
    /// or one, after this many failures in a row.
    pub failures_until_probes: i32,
    /// How long the lease lasts.
    pub lease: Duration,
}

/// Why nothing was taken, or what was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// The endpoint is paused or has to wait.
    NotNow,
    /// Another process is taking deliveries of it at this moment.
    Locked,
    /// These.
    Taken(Taken),
}

/// What was leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The deliveries, by position.
    pub deliveries: Vec<Leased>,
    /// When the last success at the endpoint was recorded, by whatever process.
    pub succeeded_at: Option<DateTime<Utc>>,
}

/// Leases deliveries of `endpoint` that are due.
pub async fn take(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    limits: Limits,
    backlogs: &Backlogs,
) -> QueryResult<Take> {
    let floor = backlogs.floor(endpoint);
    connection
        .transaction(async |connection| {
            let locked: Option<(i32, Option<StoredTime>)> =
                RunQueryDsl::get_result(LockEndpoint { endpoint }, connection).await.optional()?;
            let Some((failures_in_a_row, succeeded_at)) = locked else {
                return why_not(connection, endpoint).await;
            };
            let is_probe = failures_in_a_row >= limits.failures_until_probes;
            let take = TakeDeliveries {
                endpoint,
                floor,
                // One that was never tried is more likely to be accepted than one that was refused.
                is_untried_only: is_probe,
                in_flight_max: if is_probe { 1 } else { limits.in_flight_max },
                wanted: limits.wanted,
                max_bytes: limits.max_bytes,
                lease_ms: milliseconds(limits.lease),
            };
            let mut deliveries = lease(connection, &take).await?;
            if is_probe && deliveries.is_empty() {
                deliveries = lease(connection, &TakeDeliveries { is_untried_only: false, ..take }).await?;
            }
            Ok(Take::Taken(Taken { deliveries, succeeded_at: succeeded_at.map(StoredTime::clamped) }))
        })
        .await
}

async fn lease(connection: &mut AsyncPgConnection, take: &TakeDeliveries) -> QueryResult<Vec<Leased>> {
    let rows: Vec<Row> = RunQueryDsl::load(take.clone(), connection).await?;
    let mut deliveries: Vec<_> = rows.into_iter().map(leased).collect();
    deliveries.sort_unstable_by_key(|delivery| delivery.position);
    Ok(deliveries)
}

/// Why the endpoint could not be locked.
async fn why_not(connection: &mut AsyncPgConnection, endpoint: i64) -> QueryResult<Take> {
    let ready: Option<bool> =
        RunQueryDsl::get_result(IsEndpointReady { endpoint }, connection).await.optional()?;
    Ok(if ready == Some(true) { Take::Locked } else { Take::NotNow })
}

type Row = (i64, Uuid, String, String, StoredTime, i32, Option<StoredTime>, i64, Option<String>);

fn leased(row: Row) -> Leased {
    let (position, event_id, kind, payload, occurred_at, failures, first_failed_at, fence, traceparent) = row;
    let (occurred_at, first_failed_at) = (occurred_at.clamped(), first_failed_at.map(StoredTime::clamped));
    Leased { position, event_id, kind, payload, occurred_at, failures, first_failed_at, fence, traceparent }
}

statement! {
    struct LockEndpoint = "lock_endpoint.sql" -> (Integer, Nullable<Timestamptz>) {
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct IsEndpointReady = "is_endpoint_ready.sql" -> Bool {
        endpoint: i64 as BigInt,
    }
}

statement! {
    #[derive(Clone)]
    struct TakeDeliveries = "take.sql" -> (
        BigInt, sql_types::Uuid, Text, Text, Timestamptz, Integer, Nullable<Timestamptz>, BigInt,
        Nullable<Text>,
    ) {
        endpoint: i64 as BigInt,
        floor: DateTime<Utc> as Timestamptz,
        is_untried_only: bool as Bool,
        in_flight_max: i64 as BigInt,
        wanted: i64 as BigInt,
        max_bytes: i64 as BigInt,
        lease_ms: i64 as BigInt,
    }
}
