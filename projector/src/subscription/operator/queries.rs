//! The statements of operators on `subscriptions`.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Text, Timestamptz};
use diesel::{OptionalExtension, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use service_kit::statement;

use super::error::OperatorError;

/// Longer than nearly every batch, and shorter than the statement timeout.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";

pub(super) const RUNNING: &str = "running";
pub(super) const PAUSED: &str = "paused";
const LOST: &str = "lost";

/// A subscription that is locked until the transaction ends.
#[derive(Debug, Clone, Queryable)]
pub(super) struct Locked {
    state: String,
    pub(super) checkpoint: i64,
}

impl Locked {
    pub(super) fn is_lost(&self) -> bool {
        self.state == LOST
    }

    /// It is lost, and no event after its checkpoint is missing: the checkpoint is of another database, or of a time
    /// before a failover or a restore.
    pub(super) fn is_from_elsewhere(&self, bounds: LogBounds) -> bool {
        self.is_lost() && self.checkpoint > bounds.missing_up_to
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == RUNNING
    }
}

/// Which checkpoints are possible.
#[derive(Debug, Clone, Copy, Queryable)]
pub(super) struct LogBounds {
    /// Events up to this position may be missing.
    pub(super) missing_up_to: i64,
    pub(super) newest: i64,
    pub(super) history: i64,
}

/// Locks the subscription; waits for a worker's batch.
pub(super) async fn lock(connection: &mut AsyncPgConnection, name: &str) -> Result<Locked, OperatorError> {
    connection.batch_execute(LOCK_TIMEOUT).await?;
    let locked = RunQueryDsl::get_result(LockSubscription { name }, connection).await.optional()?;
    locked.ok_or_else(|| OperatorError::Unknown(name.to_owned()))
}

/// The bounds of the log.
pub(super) async fn log_bounds(connection: &mut AsyncPgConnection) -> Result<LogBounds, OperatorError> {
    let bounds: LogBounds = RunQueryDsl::get_result(QueryLogBounds {}, connection).await?;
    if bounds.missing_up_to == i64::MAX { Err(OperatorError::LogIsOff) } else { Ok(bounds) }
}

statement! {
    struct LockSubscription<'a> = "lock_subscription.sql" -> (Text, BigInt) {
        name: &'a str as Text,
    }
}

statement! {
    struct QueryLogBounds = "log_bounds.sql" -> (BigInt, BigInt, BigInt) {}
}

statement! {
    pub(super) struct SetState<'a> = "set_state.sql" {
        pub(super) state: &'a str as Text,
        pub(super) name: &'a str as Text,
    }
}

statement! {
    pub(super) struct SetCheckpoint<'a> = "set_checkpoint.sql" {
        pub(super) checkpoint: i64 as BigInt,
        pub(super) history: i64 as BigInt,
        pub(super) name: &'a str as Text,
    }
}

statement! {
    pub(super) struct RemoveParkedAfter<'a> = "remove_parked_after.sql" {
        pub(super) name: &'a str as Text,
        pub(super) position: i64 as BigInt,
    }
}

statement! {
    pub(super) struct ParkSkipped<'a> = "park_skipped.sql" -> BigInt {
        pub(super) name: &'a str as Text,
        pub(super) position: i64 as BigInt,
        pub(super) kind: &'a str as Text,
        pub(super) payload: &'a str as Text,
        pub(super) recorded_at: DateTime<Utc> as Timestamptz,
    }
}

statement! {
    pub(super) struct CountParked<'a> = "count_parked.sql" -> BigInt {
        pub(super) name: &'a str as Text,
    }
}

statement! {
    pub(super) struct RemoveSubscription<'a> = "remove_subscription.sql" {
        pub(super) name: &'a str as Text,
    }
}
