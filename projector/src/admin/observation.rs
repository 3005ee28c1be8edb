//! The state of the outbox, the waiting and the parked events.

use diesel::sql_types::{BigInt, Double, Nullable};
use diesel::{QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

/// The state of the outbox, the waiting and the parked events at one moment.
#[derive(Debug, Clone, PartialEq, Queryable)]
pub struct Observation {
    /// Events that are not projected yet, in the outbox and waiting.
    pub backlog: i64,
    /// Age of the oldest of them, in seconds; 0 if there is none.
    pub oldest_seconds: f64,
    /// Waiting events, counted up to 100 000.
    pub waiting: i64,
    /// Parked events that are retried automatically.
    pub parked_retrying: i64,
    /// Parked events that have used up their attempts and are left for an operator.
    pub parked_left_for_operator: i64,
    /// Deleted events that vacuum has not removed yet, by PostgreSQL's statistics.
    pub dead_rows: i64,
    /// Age of the oldest transaction, which keeps vacuum from removing them, in seconds; none if the role that ran the
    /// migrations may not see it.
    pub oldest_transaction_seconds: Option<f64>,
}

/// Queries all of it at once. No event of the outbox has an id below `low_water_mark`.
pub async fn observe(connection: &mut AsyncPgConnection, low_water_mark: i64) -> QueryResult<Observation> {
    RunQueryDsl::get_result(Observe { low_water_mark }, connection).await
}

statement! {
    struct Observe = "observe.sql" -> (BigInt, Double, BigInt, BigInt, BigInt, BigInt, Nullable<Double>) {
        low_water_mark: i64 as BigInt,
    }
}
