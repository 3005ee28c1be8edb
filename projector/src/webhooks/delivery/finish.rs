//! Records what became of requests.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{self, Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use uuid::Uuid;

use super::super::retry::DeliveryPolicy;
use super::health::{self, EndpointState};
use super::results;
use crate::event_fields::EventFields;

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
    /// When it failed first, if it had.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
    /// How long the request took.
    pub latency: Duration,
    /// Why it failed; none if the receiver accepted it.
    pub error: Option<String>,
    /// What the log says of the event.
    pub fields: EventFields,
}

impl FinishedAttempt {
    /// Whether the receiver accepted it.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.error.is_none()
    }

    /// The receiver wants no events any more.
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(410)
    }

    /// How long the receiver asks not to be sent anything. With other statuses it speaks of this event only.
    pub(super) fn hold(&self) -> Option<Duration> {
        self.retry_after.filter(|_| matches!(self.status, Some(429 | 503)))
    }
}

/// Failures since the last success, as this process has seen them, that are not recorded on the endpoint. Retries of
/// what was refused before that success are not among them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Streak {
    /// How many.
    pub failures: i32,
    /// How long ago the first of them was.
    pub lasted: Duration,
    /// How long this process has had only failures, recorded or not. By its own clock, which no one sets.
    pub observed: Duration,
    /// That success, if it is known. They are of no account if there has been a later one.
    pub succeeded_at: Option<DateTime<Utc>>,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The endpoint's state, if the streak was recorded on it; none if it has been removed.
    pub state: Option<EndpointState>,
    /// Positions of events that were given up and parked.
    pub parked: Vec<i64>,
}

/// Records what became of requests to `endpoint`, in the order in which they ended; `streak` is the one after the last
/// of them. `is_crowded` if more deliveries wait than there is room for.
pub async fn finish(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    attempts: &[FinishedAttempt],
    streak: Streak,
    is_crowded: bool,
    policy: &DeliveryPolicy,
) -> QueryResult<Finished> {
    connection
        .transaction(async |connection| {
            // The endpoint first: that is the order in which `take` locks.
            let state = health::record(connection, endpoint, attempts, streak, policy).await?;
            RunQueryDsl::execute(LogAttempts::new(endpoint, attempts), connection).await?;
            let (accepted, failed): (Vec<_>, Vec<_>) =
                attempts.iter().partition(|attempt| attempt.is_success());
            if !accepted.is_empty() {
                results::remove_delivered(connection, endpoint, &accepted).await?;
            }
            let mut parked = Vec::new();
            if !failed.is_empty() {
                let give_up = if is_crowded { policy.give_up_crowded } else { policy.give_up };
                parked = results::park_refused(connection, endpoint, &failed, give_up).await?;
                results::postpone(connection, endpoint, &failed, policy).await?;
            }
            Ok(Finished { state, parked })
        })
        .await
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
