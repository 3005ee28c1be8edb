//! The position below which no event will be logged.

use diesel::QueryResult;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use crate::outbox::low_water_mark::queries::ServerRun;

/// Publishes that no event will be logged below this position, if the server is still in `run`, in which that was found
/// out. A lower position than the published one changes nothing.
///
/// # Errors
///
/// The database's.
pub async fn publish(connection: &mut AsyncPgConnection, below: i64, run: ServerRun) -> QueryResult<()> {
    let publish = PublishSettled { below, started: run.started, stats_reset: run.stats_reset };
    RunQueryDsl::execute(publish, connection).await.map(drop)
}

/// The newest position up to which all events are in the log, or never will be: where to start for what is logged from
/// now on. Behind a hole that may still be filled, some events are in the log already; they follow too.
///
/// # Errors
///
/// The database's.
pub async fn newest(connection: &mut AsyncPgConnection) -> QueryResult<i64> {
    RunQueryDsl::get_result(NewestSettled {}, connection).await
}

/// Removes positions that a higher one has replaced. Usually there are none.
///
/// # Errors
///
/// The database's.
pub async fn remove_lower(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    RunQueryDsl::execute(RemoveSettled {}, connection).await.map(drop)
}

statement! {
    struct PublishSettled = "publish_settled.sql" {
        below: i64 as BigInt,
        started: i64 as BigInt,
        stats_reset: i64 as BigInt,
    }
}

statement! {
    struct NewestSettled = "newest_settled.sql" -> BigInt {}
}

statement! {
    struct RemoveSettled = "remove_settled.sql" {}
}
