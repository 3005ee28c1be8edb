//! When a subscription is due: after failures later, and never while it is lost.

use std::time::Duration;

use diesel::sql_types::{BigInt, Double, Integer, Nullable, Text};
use diesel::{OptionalExtension, QueryResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use crate::pause;

/// The pause after the first failure, and the longest one, without jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Most characters of an error that are stored.
const ERROR_MAX: usize = 2_000;

/// What a failure led to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    /// Failures in a row.
    pub(crate) failures: i32,
    pub(crate) retry_in: Duration,
}

/// When a subscription is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    In(Duration),
    /// It is paused or lost.
    Never,
    /// There is no such subscription.
    Unknown,
}

/// The subscription failed with `error`. It is due again after a pause. None if it is no longer running.
pub(crate) async fn record_failure(
    connection: &mut AsyncPgConnection,
    name: String,
    error: &str,
) -> QueryResult<Option<Failure>> {
    let record = RecordFailure {
        longest_pause_ms: millis(LONGEST_PAUSE),
        first_pause_ms: millis(FIRST_PAUSE),
        jitter: fastrand::f64(),
        error: storable(error),
        name,
    };
    let recorded: Option<(i32, i64)> = RunQueryDsl::get_result(record, connection).await.optional()?;
    Ok(recorded.map(|(failures, retry_in_ms)| Failure { failures, retry_in: from_millis(retry_in_ms) }))
}

/// The subscription cannot go on, for this reason, until an operator decides.
pub(crate) async fn mark_lost(
    connection: &mut AsyncPgConnection,
    name: &str,
    reason: &str,
) -> QueryResult<()> {
    let mark = MarkLost { reason: storable(reason), name: name.to_owned() };
    RunQueryDsl::execute(mark, connection).await.map(drop)
}

/// When the subscription is due.
pub(crate) async fn next_attempt(connection: &mut AsyncPgConnection, name: String) -> QueryResult<Due> {
    let due: Option<Option<i64>> =
        RunQueryDsl::get_result(NextAttempt { name }, connection).await.optional()?;
    Ok(match due {
        None => Due::Unknown,
        Some(None) => Due::Never,
        Some(Some(in_ms)) => Due::In(from_millis(in_ms)),
    })
}

/// No pause lasts longer than this: a later time was set while the clock was ahead.
pub(super) fn latest_in_ms() -> i64 {
    millis(pause::latest_due_in(LONGEST_PAUSE))
}

fn millis(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

fn from_millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// PostgreSQL stores no NUL character.
pub(super) fn storable(error: &str) -> String {
    error.chars().filter(|character| *character != '\0').take(ERROR_MAX).collect()
}

statement! {
    struct RecordFailure = "record_subscription_failure.sql" -> (Integer, BigInt) {
        longest_pause_ms: i64 as BigInt,
        first_pause_ms: i64 as BigInt,
        jitter: f64 as Double,
        error: String as Text,
        name: String as Text,
    }
}

statement! {
    struct MarkLost = "mark_subscription_lost.sql" {
        reason: String as Text,
        name: String as Text,
    }
}

statement! {
    struct NextAttempt = "next_subscription_attempt.sql" -> Nullable<BigInt> {
        name: String as Text,
    }
}
