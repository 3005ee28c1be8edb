//! How many rows a transaction has tried to write.

use diesel::QueryResult;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

/// As PostgreSQL's statistics count them: including rows that were rolled back, and rows of earlier transactions that
/// this session has not reported yet. So only differences within one transaction mean something, and only if
/// `track_counts` is on.
pub(super) async fn rows_tried(connection: &mut AsyncPgConnection) -> QueryResult<i64> {
    RunQueryDsl::get_result(RowsTried {}, connection).await
}

statement! {
    struct RowsTried = "rows_tried.sql" -> BigInt {}
}
