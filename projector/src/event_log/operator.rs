//! What `projector log …` queries and changes.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Integer, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

/// The state of the event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, diesel::Queryable)]
pub struct LogState {
    /// For how many days events are kept; 0: events are not logged.
    pub retention_days: i32,
    /// Up to this position events may be missing; none while events are not logged.
    pub missing_up_to: Option<i64>,
    /// The lowest and the highest position in the log; none if it is empty.
    pub oldest: Option<i64>,
    /// See `oldest`.
    pub newest: Option<i64>,
}

/// The state of the log.
///
/// # Errors
///
/// The database's.
pub async fn state(connection: &mut AsyncPgConnection) -> QueryResult<LogState> {
    RunQueryDsl::get_result(ShowLog {}, connection).await
}

/// Sets for how many days events are kept. Switching the log on or off fails while another session writes to the
/// outbox.
///
/// # Errors
///
/// The database's, such as a lock that is not available. Nothing is changed then.
pub async fn set_retention(connection: &mut AsyncPgConnection, days: u8) -> QueryResult<()> {
    RunQueryDsl::execute(SetRetention { days: days.into() }, connection).await.map(drop)
}

statement! {
    struct ShowLog = "show_log.sql" -> (Integer, Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>) {}
}

statement! {
    struct SetRetention = "set_retention.sql" {
        days: i32 as Integer,
    }
}
