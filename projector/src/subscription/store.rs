//! The statements on `subscriptions` and `subscription_checkpoints` that workers use.
//!
//! The lock on a row of `subscriptions` keeps a subscription to one worker at a time. Its checkpoint is a row of its
//! own, which is read in a later statement: the snapshot of the statement that locks is older than its locks, so it may
//! not see what the worker before has just committed. Should a worker move an old checkpoint after all, nothing is
//! committed: the generation that it read is gone.

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use super::due;
use crate::event_log::settled;

/// Where a new subscription starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest event that the log is sure to have.
    Oldest,
    /// Before all events that will be logged. Some that were logged in the last seconds may follow too: while lower
    /// positions may still appear, those are not passed.
    Now,
}

/// A subscription that this transaction has locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locked {
    pub(crate) name: String,
    /// Failures in a row.
    pub(crate) failures: i32,
    /// Each move of the checkpoint has the next one.
    generation: i64,
    /// All events up to this position have taken effect.
    pub(crate) checkpoint: i64,
    /// The newest outbox id that has been allocated.
    pub(crate) allocated: i64,
}

/// All events of a subscription up to `to` have taken effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move<'a> {
    pub(crate) from: &'a Locked,
    pub(crate) to: i64,
}

/// What no program leaves behind. The transaction must be rolled back.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the subscription {0:?} has no checkpoint")]
    NoCheckpoint(String),
    #[error("another transaction has moved the checkpoint of a locked subscription, one of {0:?}")]
    Moved(Vec<String>),
}

impl From<Broken> for DieselError {
    fn from(broken: Broken) -> Self {
        Self::QueryBuilderError(Box::new(broken))
    }
}

/// Creates a subscription, unless it exists. Creates none while events are not logged. Returns whether it did.
///
/// # Errors
///
/// The database's.
pub async fn create(connection: &mut AsyncPgConnection, name: &str, start: Start) -> QueryResult<bool> {
    connection
        .transaction(async |connection| {
            let (missing_up_to, history): (i64, i64) =
                RunQueryDsl::get_result(LogState {}, connection).await?;
            // While events are not logged, no position is safe.
            if missing_up_to == i64::MAX {
                return Ok(false);
            }
            let checkpoint = match start {
                Start::Oldest => missing_up_to,
                Start::Now => settled::newest(connection).await?,
            };
            // One statement for both would make Citus send parts of it to all nodes, which refuse this process.
            if RunQueryDsl::execute(Create { name: name.to_owned() }, connection).await? == 0 {
                return Ok(false);
            }
            let create = CreateCheckpoint { name: name.to_owned(), checkpoint, history };
            RunQueryDsl::execute(create, connection).await?;
            Ok(true)
        })
        .await
}

/// Locks those of these subscriptions that are running and due, and that no other worker has locked. It waits for
/// nobody.
///
/// # Errors
///
/// The database's; or one of them has no checkpoint.
pub(crate) async fn lock(connection: &mut AsyncPgConnection, names: &[&str]) -> QueryResult<Vec<Locked>> {
    let lock = Lock { names: names.to_vec(), latest_due_in_ms: due::latest_in_ms() };
    let locked = RunQueryDsl::load(lock, connection).await?;
    if locked.is_empty() { Ok(Vec::new()) } else { read_checkpoints(connection, locked).await }
}

/// [`lock`]s one subscription; none if it is not running and due, or if another worker has locked it.
pub(super) async fn lock_one(connection: &mut AsyncPgConnection, name: &str) -> QueryResult<Option<Locked>> {
    Ok(lock(connection, &[name]).await?.pop())
}

/// The checkpoints of subscriptions, by name and failures, that this transaction has locked in an earlier statement.
pub(super) async fn read_checkpoints(
    connection: &mut AsyncPgConnection,
    locked: Vec<(String, i32)>,
) -> QueryResult<Vec<Locked>> {
    let (names, failures) = locked.into_iter().unzip();
    let rows: Vec<CheckpointRow> = RunQueryDsl::load(ReadCheckpoints { names, failures }, connection).await?;
    rows.into_iter().map(with_checkpoint).collect()
}

type CheckpointRow = (String, i32, Option<i64>, Option<i64>, i64);

fn with_checkpoint(row: CheckpointRow) -> QueryResult<Locked> {
    match row {
        (name, failures, Some(generation), Some(checkpoint), allocated) => {
            Ok(Locked { name, failures, generation, checkpoint, allocated })
        }
        (name, ..) => Err(Broken::NoCheckpoint(name).into()),
    }
}

/// Moves checkpoints of subscriptions that this transaction has locked. They belong to `history`.
///
/// # Errors
///
/// The database's; or another transaction has moved one of them. Then this one must be rolled back.
pub(crate) async fn move_checkpoints(
    connection: &mut AsyncPgConnection,
    moves: &[Move<'_>],
    history: i64,
) -> QueryResult<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let statement = MoveCheckpoints {
        names: moves.iter().map(|moved| moved.from.name.as_str()).collect(),
        generations: moves.iter().map(|moved| moved.from.generation).collect(),
        checkpoints: moves.iter().map(|moved| moved.to).collect(),
        history,
    };
    if RunQueryDsl::execute(statement, connection).await? != moves.len() {
        return Err(Broken::Moved(moves.iter().map(|moved| moved.from.name.clone()).collect()).into());
    }
    let failed = moves.iter().filter(|moved| moved.from.failures > 0);
    let names: Vec<_> = failed.map(|moved| moved.from.name.as_str()).collect();
    if !names.is_empty() {
        RunQueryDsl::execute(Recover { names }, connection).await?;
    }
    Ok(())
}

statement! {
    struct LogState = "log_state.sql" -> (BigInt, BigInt) {}
}

statement! {
    struct Create = "create_subscription.sql" {
        name: String as Text,
    }
}

statement! {
    struct CreateCheckpoint = "create_checkpoint.sql" {
        name: String as Text,
        checkpoint: i64 as BigInt,
        history: i64 as BigInt,
    }
}

statement! {
    struct Lock<'a> = "lock_subscriptions.sql" -> (Text, Integer) {
        names: Vec<&'a str> as Array<Text>,
        latest_due_in_ms: i64 as BigInt,
    }
}

type CheckpointTypes = (Text, Integer, Nullable<BigInt>, Nullable<BigInt>, BigInt);

statement! {
    struct ReadCheckpoints = "read_checkpoints.sql" -> CheckpointTypes {
        names: Vec<String> as Array<Text>,
        failures: Vec<i32> as Array<Integer>,
    }
}

statement! {
    struct MoveCheckpoints<'a> = "move_checkpoints.sql" {
        names: Vec<&'a str> as Array<Text>,
        generations: Vec<i64> as Array<BigInt>,
        checkpoints: Vec<i64> as Array<BigInt>,
        history: i64 as BigInt,
    }
}

statement! {
    struct Recover<'a> = "recover_subscriptions.sql" {
        names: Vec<&'a str> as Array<Text>,
    }
}
