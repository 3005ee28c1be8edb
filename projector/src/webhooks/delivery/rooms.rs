//! How many deliveries may be added.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Bool, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use super::Backlogs;

/// Most deliveries of an endpoint that are due. Further events wait in the log.
pub const DUE_MAX: i64 = 1_000;
/// Most that are due and were never tried, if no more fit.
pub const UNTRIED_MAX: i64 = 10;

/// How many deliveries may be added for each of `endpoints`; without those that have been removed.
pub async fn rooms(
    connection: &mut AsyncPgConnection,
    endpoints: &[i64],
    backlogs: &Backlogs,
) -> QueryResult<Vec<(i64, i64)>> {
    let query = Rooms {
        endpoint: endpoints.to_vec(),
        floor: endpoints.iter().map(|endpoint| backlogs.floor(*endpoint)).collect(),
        is_crowded: endpoints.iter().map(|endpoint| backlogs.is_crowded(*endpoint)).collect(),
        due_max: DUE_MAX,
        untried_max: UNTRIED_MAX,
    };
    RunQueryDsl::load(query, connection).await
}

statement! {
    struct Rooms = "rooms.sql" -> (BigInt, BigInt) {
        endpoint: Vec<i64> as Array<BigInt>,
        floor: Vec<DateTime<Utc>> as Array<Timestamptz>,
        is_crowded: Vec<bool> as Array<Bool>,
        due_max: i64 as BigInt,
        untried_max: i64 as BigInt,
    }
}
