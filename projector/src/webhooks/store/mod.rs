//! What a running process reads and cleans up about endpoints.

use std::time::Duration;

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use url::Url;

use super::endpoint::{Endpoint, Kinds};
use super::milliseconds;
use super::signature::Secret;

/// An endpoint, as each poll sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Polled {
    pub(crate) id: i64,
    pub(crate) revision: i64,
    /// Whether something can be sent now.
    pub(crate) is_due: bool,
}

/// All endpoints, by id.
pub(crate) async fn poll(connection: &mut AsyncPgConnection) -> QueryResult<Vec<Polled>> {
    let rows: Vec<(i64, i64, bool)> = RunQueryDsl::load(PollEndpoints {}, connection).await?;
    Ok(rows.into_iter().map(|(id, revision, is_due)| Polled { id, revision, is_due }).collect())
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
pub(crate) struct Observed {
    pub(crate) id: i64,
    pub(crate) is_active: bool,
    /// Deliveries that wait, counted up to 1,001.
    pub(crate) waiting: i32,
    /// Age of the oldest of them; 0 if there is none.
    pub(crate) lag_seconds: f64,
}

/// The state of all endpoints, by id.
pub(crate) async fn observe(connection: &mut AsyncPgConnection) -> QueryResult<Vec<Observed>> {
    RunQueryDsl::load(ObserveEndpoints {}, connection).await
}

/// Removes secrets whose time is over.
pub(crate) async fn expire_secrets(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    RunQueryDsl::execute(ExpireSecrets {}, connection).await.map(drop)
}

/// Removes up to `removed_max` of the oldest attempts of `endpoint`: those of more than seven days ago, and those that
/// are not among the newest `kept_max`. Returns how many were removed.
pub async fn forget_attempts(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    kept_max: i64,
    removed_max: i64,
) -> QueryResult<usize> {
    RunQueryDsl::execute(ForgetAttempts { endpoint, kept_max, removed_max }, connection).await
}

/// Corrects what `endpoint` and its deliveries wait for, if the clock was ahead when it was stored. No pause ends later
/// than `latest` from now on, and no lease later than `latest_lease`.
pub async fn correct_times(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    latest: Duration,
    latest_lease: Duration,
) -> QueryResult<()> {
    let (latest_ms, latest_lease_ms) = (milliseconds(latest), milliseconds(latest_lease));
    RunQueryDsl::execute(CorrectHolds { endpoint, latest_ms }, connection).await?;
    let correct = CorrectDeliveries { endpoint, latest_ms, latest_lease_ms };
    RunQueryDsl::execute(correct, connection).await.map(drop)
}

statement! {
    struct CorrectHolds = "correct_holds.sql" {
        endpoint: i64 as BigInt,
        latest_ms: i64 as BigInt,
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
    struct PollEndpoints = "poll_endpoints.sql" -> (BigInt, BigInt, Bool) {}
}

statement! {
    struct LoadEndpoints = "load_endpoints.sql" -> (BigInt, Text, Array<Text>, Bool, BigInt, Array<Binary>) {}
}

statement! {
    struct ObserveEndpoints = "observe_endpoints.sql" -> (BigInt, Bool, Integer, Double) {}
}

statement! {
    struct ExpireSecrets = "expire_secrets.sql" {}
}

statement! {
    struct ForgetAttempts = "forget_attempts.sql" {
        endpoint: i64 as BigInt,
        kept_max: i64 as BigInt,
        removed_max: i64 as BigInt,
    }
}
