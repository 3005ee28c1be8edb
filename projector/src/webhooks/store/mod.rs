//! What a running process reads and cleans up about endpoints.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::overload::OncePerSecond;
use service_kit::statement;
use service_kit::stored_time::StoredTime;
use url::Url;

mod attempts;

pub use self::attempts::{AttemptLimits, CountedAttempts, forget_attempts};
use super::delivery::{Backlogs, Writers};
use super::endpoint::{Endpoint, Kinds};
use super::milliseconds;
use super::signature::Secret;
use crate::outbox::low_water_mark::queries::ServerRun;

/// No time that was stored while the clock was right is later than these from now on.
#[derive(Debug, Clone, Copy)]
pub struct Latest {
    /// When a refused delivery is tried again, and what a receiver asks for.
    pub due_in: Duration,
    /// The end of a lease.
    pub lease_ends_in: Duration,
    /// The next probe.
    pub probe_in: Duration,
}

/// An endpoint, as each poll sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Identifies it.
    pub id: i64,
    /// Changes with what is loaded.
    pub revision: i64,
    /// Whether something can be sent now.
    pub is_due: bool,
}

/// All endpoints, by id.
///
/// This also raises the floors of what is known of their deliveries.
pub async fn poll(connection: &mut AsyncPgConnection, backlogs: &Backlogs) -> QueryResult<Vec<Polled>> {
    type Row = (i64, i64, bool, Option<StoredTime>, i64, i64);
    let (asked, (endpoint, floor)) = backlogs.ask();
    let rows: Vec<Row> = RunQueryDsl::load(PollEndpoints { endpoint, floor }, connection).await?;
    let polled = rows.into_iter().map(|(id, revision, is_ready, due_since, started, stats_reset)| {
        let due_since = due_since.map(StoredTime::clamped);
        // A session to another server may have outlived a failover: it knows nothing of what is settled.
        if backlogs.is_settled_in(ServerRun { started, stats_reset }) {
            backlogs.polled(&asked, id, revision, is_ready, due_since);
        }
        Polled { id, revision, is_due: due_since.is_some() }
    });
    let polled: Vec<_> = polled.collect();
    backlogs.keep(|endpoint| polled.iter().any(|polled| polled.id == endpoint));
    Ok(polled)
}

/// Finds out which deliveries can still become due without having been seen. Only then can [`poll`] raise floors.
pub async fn settle(connection: &mut AsyncPgConnection, backlogs: &Backlogs) -> QueryResult<()> {
    type Row = (Vec<String>, StoredTime, i64, i64);
    let asked = Instant::now();
    let (transactions, now, started, stats_reset): Row =
        RunQueryDsl::get_result(DeliveryWriters {}, connection).await?;
    backlogs.settle(Writers {
        transactions,
        now: now.clamped(),
        run: ServerRun { started, stats_reset },
        asked,
        answered: Instant::now(),
    });
    Ok(())
}

/// All endpoints with their secrets, by id.
pub(crate) async fn load(connection: &mut AsyncPgConnection) -> QueryResult<Vec<Endpoint>> {
    let rows: Vec<Row> = RunQueryDsl::load(LoadEndpoints {}, connection).await?;
    Ok(rows.into_iter().filter_map(endpoint).collect())
}

type Row = (i64, String, Vec<String>, bool, i64, Vec<Vec<u8>>);

/// None if somebody has stored a URL that is none: nothing can be sent there.
fn endpoint((id, url, kinds, is_active, revision, secrets): Row) -> Option<Endpoint> {
    let Ok(url) = Url::parse(&url) else {
        tracing::error!(webhook.endpoint = id, "the stored URL of a webhook endpoint cannot be used");
        return None;
    };
    let secrets = secrets.into_iter().map(Secret::from_bytes).collect();
    Some(Endpoint { id, url, kinds: Kinds::stored(kinds), is_active, revision, secrets })
}

/// The state of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, diesel::Queryable)]
pub struct Observed {
    /// Identifies it.
    pub id: i64,
    /// It is sent events, and its subscription is running.
    pub is_active: bool,
    /// Something feeds it.
    pub has_subscription: bool,
    /// Deliveries that wait, counted up to 10,001.
    pub waiting: i32,
    /// Age of the oldest event that waits, there or in the log; 0 if there is none.
    pub lag_seconds: f64,
}

/// The state of all endpoints, by id.
pub async fn observe(connection: &mut AsyncPgConnection, backlogs: &Backlogs) -> QueryResult<Vec<Observed>> {
    let (endpoint, floor) = backlogs.floors();
    let observed: Vec<Observed> = RunQueryDsl::load(ObserveEndpoints { endpoint, floor }, connection).await?;
    let unfed = observed.iter().filter(|observed| !observed.has_subscription).map(|observed| observed.id);
    log_unfed(&unfed.collect::<Vec<_>>());
    Ok(observed)
}

/// Only somebody who deletes rows by hand can leave an endpoint without a subscription. Nothing else would show it.
fn log_unfed(endpoints: &[i64]) {
    static UNFED: OncePerSecond = OncePerSecond::new();
    if !endpoints.is_empty() && UNFED.count().is_some() {
        tracing::error!(
            webhook.endpoints = ?endpoints,
            "webhook endpoints get no events: their subscriptions are gone. Remove the endpoints and add them again"
        );
    }
}

/// Removes secrets whose time is over.
pub(crate) async fn expire_secrets(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    RunQueryDsl::execute(ExpireSecrets {}, connection).await.map(drop)
}

/// Corrects what `endpoint` and its deliveries wait for, and its successes, if the clock was ahead when they were
/// stored.
pub async fn correct_times(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    latest: Latest,
) -> QueryResult<()> {
    let (latest_ms, latest_probe_ms) = (milliseconds(latest.due_in), milliseconds(latest.probe_in));
    RunQueryDsl::execute(CorrectHolds { endpoint, latest_ms, latest_probe_ms }, connection).await?;
    let latest_lease_ms = milliseconds(latest.lease_ends_in);
    let correct = CorrectDeliveries { endpoint, latest_ms, latest_lease_ms };
    RunQueryDsl::execute(correct, connection).await?;
    RunQueryDsl::execute(ForgetSuccessesAhead { endpoint }, connection).await.map(drop)
}

/// Has due deliveries of `endpoint` wait for an earlier one of their order that was refused.
pub async fn line_up(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    backlogs: &Backlogs,
) -> QueryResult<()> {
    let line_up = LineUp { endpoint, floor: backlogs.floor(endpoint) };
    RunQueryDsl::execute(line_up, connection).await.map(drop)
}

statement! {
    struct LineUp = "line_up.sql" {
        endpoint: i64 as BigInt,
        floor: DateTime<Utc> as Timestamptz,
    }
}

statement! {
    struct CorrectHolds = "correct_holds.sql" {
        endpoint: i64 as BigInt,
        latest_ms: i64 as BigInt,
        latest_probe_ms: i64 as BigInt,
    }
}

statement! {
    struct CorrectDeliveries = "correct_deliveries.sql" {
        endpoint: i64 as BigInt,
        latest_ms: i64 as BigInt,
        latest_lease_ms: i64 as BigInt,
    }
}

statement! {
    struct ForgetSuccessesAhead = "forget_successes_ahead.sql" {
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct DeliveryWriters = "delivery_writers.sql" -> (Array<Text>, Timestamptz, BigInt, BigInt) {}
}

statement! {
    struct PollEndpoints = "poll_endpoints.sql" -> (
        BigInt, BigInt, Bool, Nullable<Timestamptz>, BigInt, BigInt,
    ) {
        endpoint: Vec<i64> as Array<BigInt>,
        floor: Vec<DateTime<Utc>> as Array<Timestamptz>,
    }
}

statement! {
    struct LoadEndpoints = "load_endpoints.sql" -> (BigInt, Text, Array<Text>, Bool, BigInt, Array<Binary>) {}
}

statement! {
    struct ObserveEndpoints = "observe_endpoints.sql" -> (BigInt, Bool, Bool, Integer, Double) {
        endpoint: Vec<i64> as Array<BigInt>,
        floor: Vec<DateTime<Utc>> as Array<Timestamptz>,
    }
}

statement! {
    struct ExpireSecrets = "expire_secrets.sql" {}
}
