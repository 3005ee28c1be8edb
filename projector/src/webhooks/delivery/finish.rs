//! Records what became of requests.

use std::time::Duration;

use diesel::sql_types::{self, Array, BigInt, Bool, Integer, Nullable, Text};
use diesel::{OptionalExtension, QueryResult};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use uuid::Uuid;

use super::super::endpoint::Endpoint;
use super::super::milliseconds;
use super::super::retry::DeliveryPolicy;

/// What became of one request.
#[derive(Debug, Clone)]
pub struct FinishedAttempt {
    /// The event's position in the event log.
    pub position: i64,
    /// The number of its lease.
    pub fence: i64,
    /// The event's id.
    pub event_id: Uuid,
    /// How often it had failed before.
    pub failures: i32,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// How long the receiver asks not to be sent anything.
    pub retry_after: Option<Duration>,
    /// How long the request took.
    pub latency: Duration,
    /// Why it failed; none if the receiver accepted it.
    pub error: Option<String>,
}

impl FinishedAttempt {
    fn is_success(&self) -> bool {
        self.error.is_none()
    }

    /// The receiver wants no events any more.
    fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// The endpoint's state after requests failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It is sent events.
    Active,
    /// It is sent nothing until an operator resumes it.
    Paused,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The endpoint's state; none if nothing failed, or if it has been removed.
    pub state: Option<EndpointState>,
    /// Positions of events that were given up and parked.
    pub parked: Vec<i64>,
}

/// Records what became of requests to `endpoint`, in the order in which they ended. `failures_in_a_row` is how many had
/// failed before since its last success.
pub async fn finish(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    attempts: &[FinishedAttempt],
    failures_in_a_row: i32,
    policy: &DeliveryPolicy,
) -> QueryResult<Finished> {
    connection
        .transaction(async |connection| {
            // The endpoint first: that is the order in which `take` locks.
            let state = record_on_endpoint(connection, endpoint, attempts, failures_in_a_row, policy).await?;
            RunQueryDsl::execute(LogAttempts::new(endpoint, attempts), connection).await?;
            let (accepted, failed): (Vec<_>, Vec<_>) =
                attempts.iter().partition(|attempt| attempt.is_success());
            if !accepted.is_empty() {
                RunQueryDsl::execute(RemoveDelivered::new(endpoint, &accepted), connection).await?;
            }
            let mut parked = Vec::new();
            if !failed.is_empty() {
                // While nothing succeeds, the endpoint is at fault and not the event.
                if state == Some(EndpointState::Active) {
                    let park = ParkRefused::new(endpoint, &failed, policy);
                    parked = RunQueryDsl::load(park, connection).await?;
                }
                RunQueryDsl::execute(Postpone::new(endpoint, &failed, policy), connection).await?;
            }
            Ok(Finished { state, parked })
        })
        .await
}

async fn record_on_endpoint(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    attempts: &[FinishedAttempt],
    failures_in_a_row: i32,
    policy: &DeliveryPolicy,
) -> QueryResult<Option<EndpointState>> {
    let last_success = attempts.iter().rposition(FinishedAttempt::is_success);
    if last_success.is_some() {
        RunQueryDsl::execute(RecordSuccess { endpoint }, connection).await?;
    }
    let failed: Vec<_> = attempts.iter().filter(|attempt| !attempt.is_success()).collect();
    if failed.is_empty() {
        return Ok(None);
    }
    let since_success = attempts.len() - last_success.map_or(0, |index| index + 1);
    let since_success = i32::try_from(since_success).unwrap_or(i32::MAX);
    let before = if last_success.is_some() { 0 } else { failures_in_a_row };
    let retry_after = failed.iter().filter_map(|attempt| attempt.retry_after).max();
    let pause = policy.endpoint_pause(before.saturating_add(since_success), retry_after);
    let record = RecordFailures {
        hold_ms: pause.map(milliseconds),
        failures: since_success,
        is_gone: failed.iter().any(|attempt| attempt.is_gone()),
        give_up_ms: milliseconds(policy.give_up_after),
        endpoint,
    };
    let state: Option<String> = RunQueryDsl::get_result(record, connection).await.optional()?;
    Ok(state.map(|name| if name == "active" { EndpointState::Active } else { EndpointState::Paused }))
}

statement! {
    struct RecordSuccess = "record_success.sql" {
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct RecordFailures = "record_failures.sql" -> Text {
        hold_ms: Option<i64> as Nullable<BigInt>,
        failures: i32 as Integer,
        is_gone: bool as Bool,
        give_up_ms: i64 as BigInt,
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct LogAttempts<'a> = "log_attempts.sql" {
        position: Vec<i64> as Array<BigInt>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        status: Vec<Option<i32>> as Array<Nullable<Integer>>,
        latency_ms: Vec<i32> as Array<Integer>,
        error: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        endpoint: i64 as BigInt,
    }
}

impl<'a> LogAttempts<'a> {
    fn new(endpoint: i64, attempts: &'a [FinishedAttempt]) -> Self {
        let latency_ms =
            |attempt: &FinishedAttempt| i32::try_from(attempt.latency.as_millis()).unwrap_or(i32::MAX);
        Self {
            position: attempts.iter().map(|attempt| attempt.position).collect(),
            event_id: attempts.iter().map(|attempt| attempt.event_id).collect(),
            status: attempts.iter().map(|attempt| attempt.status.map(i32::from)).collect(),
            latency_ms: attempts.iter().map(latency_ms).collect(),
            error: attempts.iter().map(|attempt| attempt.error.as_deref()).collect(),
            endpoint,
        }
    }
}

/// What identifies each lease.
fn leases(attempts: &[&FinishedAttempt]) -> (Vec<i64>, Vec<Uuid>, Vec<i64>) {
    attempts.iter().map(|attempt| (attempt.position, attempt.event_id, attempt.fence)).collect()
}

statement! {
    struct RemoveDelivered = "remove_delivered.sql" {
        position: Vec<i64> as Array<BigInt>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        fence: Vec<i64> as Array<BigInt>,
        endpoint: i64 as BigInt,
    }
}

impl RemoveDelivered {
    fn new(endpoint: i64, accepted: &[&FinishedAttempt]) -> Self {
        let (position, event_id, fence) = leases(accepted);
        Self { position, event_id, fence, endpoint }
    }
}

statement! {
    struct ParkRefused<'a> = "park_refused.sql" -> BigInt {
        position: Vec<i64> as Array<BigInt>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        fence: Vec<i64> as Array<BigInt>,
        error: Vec<&'a str> as Array<Text>,
        endpoint: i64 as BigInt,
        give_up_ms: i64 as BigInt,
        subscription: String as Text,
    }
}

impl<'a> ParkRefused<'a> {
    fn new(endpoint: i64, failed: &[&'a FinishedAttempt], policy: &DeliveryPolicy) -> Self {
        let (position, event_id, fence) = leases(failed);
        Self {
            position,
            event_id,
            fence,
            error: failed.iter().map(|attempt| attempt.error.as_deref().unwrap_or_default()).collect(),
            endpoint,
            give_up_ms: milliseconds(policy.give_up_after),
            subscription: Endpoint::subscription(endpoint),
        }
    }
}

statement! {
    struct Postpone = "postpone.sql" {
        position: Vec<i64> as Array<BigInt>,
        event_id: Vec<Uuid> as Array<sql_types::Uuid>,
        fence: Vec<i64> as Array<BigInt>,
        retry_ms: Vec<i64> as Array<BigInt>,
        endpoint: i64 as BigInt,
    }
}

impl Postpone {
    fn new(endpoint: i64, failed: &[&FinishedAttempt], policy: &DeliveryPolicy) -> Self {
        let retry_ms = |attempt: &&FinishedAttempt| {
            milliseconds(policy.retry_in(attempt.failures.saturating_add(1), attempt.retry_after))
        };
        let (position, event_id, fence) = leases(failed);
        Self { position, event_id, fence, retry_ms: failed.iter().map(retry_ms).collect(), endpoint }
    }
}
