//! The statements on `subscriptions` that its workers use.

use std::time::Duration;

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use diesel::{OptionalExtension, QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use crate::pause;

/// The pause after the first failure, and the longest one, without jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Most characters of an error that are stored.
const ERROR_MAX: usize = 2_000;

/// Where a new subscription starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest event that the log is sure to have.
    Oldest,
    /// After the newest event in the log.
    Now,
}

/// A subscription that this transaction has locked.
#[derive(Debug, Clone, Copy, Queryable)]
pub(super) struct Locked {
    /// All events up to this position have taken effect.
    pub(super) checkpoint: i64,
    /// The newest outbox id that has been allocated.
    pub(super) allocated: i64,
}

/// What a failure led to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    /// Failures in a row.
    pub(super) failures: i32,
    pub(super) retry_in: Duration,
}

/// When a subscription is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    In(Duration),
    /// It is paused or lost.
    Never,
    /// There is no such subscription.
    Unknown,
}

/// Creates a subscription, unless it exists. Creates none while events are not logged. Returns whether it did.
///
/// # Errors
///
/// The database's.
pub async fn create(connection: &mut AsyncPgConnection, name: &str, start: Start) -> QueryResult<bool> {
    let create = Create { name: name.to_owned(), is_now: start == Start::Now };
    RunQueryDsl::execute(create, connection).await.map(|created| created > 0)
}

/// Locks a subscription that is running and due; none if it is not, or if another worker has locked it.
pub(super) async fn lock(connection: &mut AsyncPgConnection, name: &str) -> QueryResult<Option<Locked>> {
    let latest_due_in_ms = millis(pause::latest_due_in(LONGEST_PAUSE));
    RunQueryDsl::get_result(Lock { name: name.to_owned(), latest_due_in_ms }, connection).await.optional()
}

/// All events up to `checkpoint` have taken effect. It belongs to `history`.
pub(super) async fn move_checkpoint(
    connection: &mut AsyncPgConnection,
    name: &str,
    checkpoint: i64,
    history: i64,
) -> QueryResult<()> {
    let moved = MoveCheckpoint { checkpoint, history, name: name.to_owned() };
    RunQueryDsl::execute(moved, connection).await.map(drop)
}

/// The subscription failed with `error`. It is due again after a pause. None if it is no longer running.
pub(super) async fn record_failure(
    connection: &mut AsyncPgConnection,
    name: String,
    error: &str,
) -> QueryResult<Option<Failure>> {
    let record = RecordFailure {
        longest_pause_ms: millis(LONGEST_PAUSE),
        first_pause_ms: millis(FIRST_PAUSE),
        error: storable(error),
        name,
    };
    let recorded: Option<(i32, i64)> = RunQueryDsl::get_result(record, connection).await.optional()?;
    Ok(recorded.map(|(failures, retry_in_ms)| Failure { failures, retry_in: from_millis(retry_in_ms) }))
}

/// The subscription cannot go on, for this reason, until an operator decides.
pub(super) async fn mark_lost(
    connection: &mut AsyncPgConnection,
    name: &str,
    reason: &str,
) -> QueryResult<()> {
    let mark = MarkLost { reason: storable(reason), name: name.to_owned() };
    RunQueryDsl::execute(mark, connection).await.map(drop)
}

/// When the subscription is due.
pub(super) async fn next_attempt(connection: &mut AsyncPgConnection, name: String) -> QueryResult<Due> {
    let due: Option<Option<i64>> =
        RunQueryDsl::get_result(NextAttempt { name }, connection).await.optional()?;
    Ok(match due {
        None => Due::Unknown,
        Some(None) => Due::Never,
        Some(Some(in_ms)) => Due::In(from_millis(in_ms)),
    })
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
    struct Create = "create_subscription.sql" {
        name: String as Text,
        is_now: bool as Bool,
    }
}

statement! {
    struct Lock = "claim_subscription.sql" -> (BigInt, BigInt) {
        name: String as Text,
        latest_due_in_ms: i64 as BigInt,
    }
}

statement! {
    struct MoveCheckpoint = "move_checkpoint.sql" {
        checkpoint: i64 as BigInt,
        history: i64 as BigInt,
        name: String as Text,
    }
}

statement! {
    struct RecordFailure = "record_subscription_failure.sql" -> (Integer, BigInt) {
        longest_pause_ms: i64 as BigInt,
        first_pause_ms: i64 as BigInt,
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
