//! Records on an endpoint whether requests succeed.
//!
//! A streak of failures is recorded once it has lasted for a moment. So an endpoint that refuses some events and
//! accepts others is not written to at all: each version of its row would stay, and be read by every poll, for as long
//! as a transaction elsewhere keeps PostgreSQL from removing dead rows.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz};
use diesel::{OptionalExtension, QueryResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use super::super::milliseconds;
use super::super::retry::DeliveryPolicy;
use super::{FinishedAttempt, Streak};

/// The endpoint's state after requests failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It is sent events.
    Active,
    /// It is sent nothing until an operator resumes it.
    Paused(PausedReason),
}

/// Why an endpoint is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedReason {
    /// An operator has paused it.
    Operator,
    /// The receiver responded with 410.
    Gone,
    /// Nothing has succeeded for too long.
    NothingSucceeded,
}

impl PausedReason {
    /// As it is stored and listed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Gone => "gone",
            Self::NothingSucceeded => "nothing_succeeded",
        }
    }

    fn stored(name: &str) -> Self {
        let known = [Self::Gone, Self::NothingSucceeded].into_iter().find(|reason| reason.name() == name);
        known.unwrap_or(Self::Operator)
    }
}

/// Returns the endpoint's state, if failures had to be recorded.
pub(super) async fn record(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    attempts: &[FinishedAttempt],
    streak: Streak,
    policy: &DeliveryPolicy,
) -> QueryResult<Option<EndpointState>> {
    if attempts.iter().any(FinishedAttempt::is_success) {
        let success = RecordSuccess {
            outage_ms: milliseconds(policy.outage_after),
            failures_until_probes: policy.failures_until_probes,
            give_up_ms: milliseconds(policy.give_up.after),
            endpoint,
        };
        RunQueryDsl::execute(success, connection).await?;
    }
    let hold = attempts.iter().filter_map(FinishedAttempt::hold).max();
    let is_gone = attempts.iter().any(FinishedAttempt::is_gone);
    if streak.failures == 0 && !is_gone && hold.is_none() {
        return Ok(None);
    }
    let is_streak = streak.failures > 0 && streak.lasted >= policy.streak_after;
    let is_observed = streak.observed >= policy.outage_after.min(policy.give_up.after);
    let record = RecordFailures {
        endpoint,
        failures: streak.failures,
        is_recorded: is_streak || is_gone || hold.is_some(),
        hold_ms: hold.map(|hold| milliseconds(hold.min(policy.retry_max))),
        failures_until_probes: policy.failures_until_probes,
        probe_max_ms: milliseconds(policy.probe_max),
        is_gone,
        give_up_ms: is_observed.then(|| milliseconds(policy.give_up.after)),
        give_up_failures: policy.give_up.failures,
        succeeded_at: streak.succeeded_at,
        jitter: fastrand::f64(),
    };
    let recorded: Option<Option<String>> = RunQueryDsl::get_result(record, connection).await.optional()?;
    Ok(recorded.map(|paused| match paused {
        None => EndpointState::Active,
        Some(reason) => EndpointState::Paused(PausedReason::stored(&reason)),
    }))
}

statement! {
    struct RecordSuccess = "record_success.sql" {
        outage_ms: i64 as BigInt,
        failures_until_probes: i32 as Integer,
        give_up_ms: i64 as BigInt,
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct RecordFailures = "record_failures.sql" -> Nullable<Text> {
        endpoint: i64 as BigInt,
        failures: i32 as Integer,
        is_recorded: bool as Bool,
        hold_ms: Option<i64> as Nullable<BigInt>,
        failures_until_probes: i32 as Integer,
        probe_max_ms: i64 as BigInt,
        is_gone: bool as Bool,
        give_up_ms: Option<i64> as Nullable<BigInt>,
        give_up_failures: i32 as Integer,
        succeeded_at: Option<DateTime<Utc>> as Nullable<Timestamptz>,
        jitter: f64 as Double,
    }
}
