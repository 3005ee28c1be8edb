//! How many rows a transaction has tried to write.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// As PostgreSQL's statistics count them: together with what was taken back, and with what this session has done before and not
/// reported yet. So only differences within one transaction say something, and nothing does where the server counts nothing
/// (`track_counts`).
pub(super) async fn rows_tried(connection: &mut AsyncPgConnection) -> QueryResult<i64> {
    RunQueryDsl::get_result(RowsTried, connection).await
}

#[derive(QueryId)]
struct RowsTried;

impl Query for RowsTried {
    type SqlType = BigInt;
}

impl QueryFragment<Pg> for RowsTried {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT pg_stat_get_xact_tuples_inserted('order_summary'::regclass) \
             + pg_stat_get_xact_tuples_updated('order_summary'::regclass)",
        );
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for RowsTried {}
