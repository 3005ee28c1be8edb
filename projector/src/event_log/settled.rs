//! Publishing the position below which no event will be logged.

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
    struct RemoveSettled = "remove_settled.sql" {}
}
