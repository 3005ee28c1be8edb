//! The statements of operators on `subscriptions`.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz};
use diesel::{OptionalExtension, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use service_kit::statement;

use super::error::OperatorError;
use crate::subscription::store::{self, Move};

/// Longer than nearly every batch, and shorter than the statement timeout.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";

pub(super) const RUNNING: &str = "running";
pub(super) const PAUSED: &str = "paused";
const LOST: &str = "lost";

/// A subscription that is locked until the transaction ends.
#[derive(Debug, Clone)]
pub(super) struct Locked {
    state: String,
    subscription: store::Locked,
}

impl Locked {
    pub(super) fn checkpoint(&self) -> i64 {
        self.subscription.checkpoint
    }

    pub(super) fn is_lost(&self) -> bool {
        self.state == LOST
    }

    /// It is lost, and no event after its checkpoint is missing: the checkpoint is of another database, or of a time
    /// before a failover or a restore.
    pub(super) fn is_from_elsewhere(&self, bounds: LogBounds) -> bool {
        self.is_lost() && self.checkpoint() > bounds.missing_up_to
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
    let locked: Option<(String, i32, String)> =
        RunQueryDsl::get_result(LockSubscription { name }, connection).await.optional()?;
    let unknown = || OperatorError::Unknown(name.to_owned());
    let (name, failures, state) = locked.ok_or_else(unknown)?;
    let checkpoints = store::read_checkpoints(connection, vec![(name, failures)]).await?;
    checkpoints.into_iter().next().map(|subscription| Locked { state, subscription }).ok_or_else(unknown)
}

/// Moves the checkpoint, and lets the subscription go on there unless it is paused.
pub(super) async fn go_on_at(
    connection: &mut AsyncPgConnection,
    locked: &Locked,
    checkpoint: i64,
    bounds: LogBounds,
) -> Result<(), OperatorError> {
    let moved = Move { from: &locked.subscription, to: checkpoint };
    store::move_checkpoints(connection, &[moved], bounds.history).await?;
    RunQueryDsl::execute(GoOn { name: &locked.subscription.name }, connection).await?;
    Ok(())
}

/// Refuses what has a `command` of its own for the webhook endpoint that the subscription feeds.
pub(super) async fn refuse_if_fed(
    connection: &mut AsyncPgConnection,
    name: &str,
    command: &'static str,
) -> Result<(), OperatorError> {
    let endpoint = RunQueryDsl::get_result(FindFedEndpoint { name }, connection).await.optional()?;
    match endpoint {
        None => Ok(()),
        Some(endpoint) => Err(OperatorError::FeedsEndpoint { name: name.to_owned(), endpoint, command }),
    }
}

/// The bounds of the log.
pub(super) async fn log_bounds(connection: &mut AsyncPgConnection) -> Result<LogBounds, OperatorError> {
    let bounds: LogBounds = RunQueryDsl::get_result(QueryLogBounds {}, connection).await?;
    if bounds.missing_up_to == i64::MAX { Err(OperatorError::LogIsOff) } else { Ok(bounds) }
}

statement! {
    struct LockSubscription<'a> = "lock_subscription.sql" -> (Text, Integer, Text) {
        name: &'a str as Text,
    }
}

statement! {
    struct FindFedEndpoint<'a> = "find_fed_endpoint.sql" -> BigInt {
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
    struct GoOn<'a> = "go_on.sql" {
        name: &'a str as Text,
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
        pub(super) traceparent: Option<&'a str> as Nullable<Text>,
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
