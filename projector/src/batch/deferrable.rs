//! Constraints that are checked at the commit.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Bool;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// Whether a table that this role may write has deferrable constraints or constraint triggers; PostgreSQL keeps both as
/// triggers.
///
/// # Errors
///
/// The database's.
pub(super) async fn can_constraints_be_deferred(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    RunQueryDsl::get_result(Deferrable, connection).await
}

#[derive(QueryId)]
struct Deferrable;

impl Query for Deferrable {
    type SqlType = Bool;
}

impl QueryFragment<Pg> for Deferrable {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgdeferrable \
             AND (has_table_privilege(tgrelid, 'INSERT, UPDATE, DELETE') \
             OR has_any_column_privilege(tgrelid, 'INSERT, UPDATE')))",
        );
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Deferrable {}
