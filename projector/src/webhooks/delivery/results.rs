//! Records on deliveries what became of them. Each finds its row by key: whatever the statistics say, none reads all
//! rows of an endpoint, of which thousands may be dead.

use diesel::QueryResult;
use diesel::sql_types::{self, Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use uuid::Uuid;

use super::super::endpoint::Endpoint;
use super::super::milliseconds;
use super::super::retry::{DeliveryPolicy, GiveUp};
use super::FinishedAttempt;

/// Removes deliveries that were accepted.
pub(super) async fn remove_delivered(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    accepted: &[&FinishedAttempt],
) -> QueryResult<()> {
    let (position, event_id, fence) = leases(accepted);
    RunQueryDsl::execute(RemoveDelivered { endpoint, position, event_id, fence }, connection).await.map(drop)
}

/// Parks deliveries that have been refused for too long, while others succeed. Returns their positions.
pub(super) async fn park_refused(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    failed: &[&FinishedAttempt],
    give_up: GiveUp,
) -> QueryResult<Vec<i64>> {
    // Nearly always none has failed often enough.
    let failed: Vec<_> = failed
        .iter()
        .copied()
        .filter(|failed| failed.failures.saturating_add(1) >= give_up.failures)
        .collect();
    if failed.is_empty() {
        return Ok(Vec::new());
    }
    let (position, event_id, fence) = leases(&failed);
    let park = ParkRefused {
        endpoint,
        give_up_ms: milliseconds(give_up.after),
        position,
        event_id,
        fence,
        error: failed.iter().map(|attempt| attempt.error.as_deref().unwrap_or_default()).collect(),
        subscription: Endpoint::subscription(endpoint),
    };
    RunQueryDsl::load(park, connection).await
}

/// Has deliveries that failed tried again later, and the later ones of their orders after them.
pub(super) async fn postpone(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    failed: &[&FinishedAttempt],
    policy: &DeliveryPolicy,
) -> QueryResult<()> {
    let retry_ms = |attempt: &&FinishedAttempt| {
        milliseconds(policy.retry_in(attempt.failures.saturating_add(1), attempt.retry_after))
    };
    let (position, event_id, fence) = leases(failed);
    let retry_ms = failed.iter().map(retry_ms).collect();
    RunQueryDsl::execute(Postpone { endpoint, position, event_id, fence, retry_ms }, connection)
        .await
        .map(drop)
}

/// What identifies each lease.
fn leases(attempts: &[&FinishedAttempt]) -> (Vec<i64>, Vec<Uuid>, Vec<i64>) {
    attempts.iter().map(|attempt| (attempt.position, attempt.event_id, attempt.fence)).collect()
}

statement! {
    struct RemoveDelivered = "remove_delivered.sql" {
        endpoint: i64 as BigInt,
        position: Vec<i64> as Array<BigInt>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        fence: Vec<i64> as Array<BigInt>,
    }
}

statement! {
    struct ParkRefused<'a> = "park_refused.sql" -> BigInt {
        endpoint: i64 as BigInt,
        give_up_ms: i64 as BigInt,
        position: Vec<i64> as Array<BigInt>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        fence: Vec<i64> as Array<BigInt>,
        error: Vec<&'a str> as Array<Text>,
        subscription: String as Text,
    }
}

statement! {
    struct Postpone = "postpone.sql" {
        endpoint: i64 as BigInt,
        position: Vec<i64> as Array<BigInt>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        fence: Vec<i64> as Array<BigInt>,
        retry_ms: Vec<i64> as Array<BigInt>,
    }
}
