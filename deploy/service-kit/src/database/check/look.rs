//! The statement of the check.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::database::backend::{Backend, Relation};
use crate::database::connect::PooledConnection;

/// What was found.
pub(super) struct Found {
    pub(super) encoding: String,
    pub(super) read_only: bool,
    pub(super) missing_column: Option<String>,
    pub(super) missing_privilege: Option<String>,
    pub(super) shape: Option<String>,
    pub(super) relation: Relation,
}

/// Asks the catalog, whose tables nobody locks.
pub(super) async fn look(
    session: &mut PooledConnection,
    columns: &'static [(&'static str, &'static str, &'static str)],
) -> QueryResult<Found> {
    let query = Look {
        tables: columns.iter().map(|(table, ..)| *table).collect(),
        columns: columns.iter().map(|(_, column, _)| *column).collect(),
        privileges: columns.iter().map(|(.., privilege)| *privilege).collect(),
    };
    let (backend, encoding, read_only, missing_column, missing_privilege, shape): Row =
        RunQueryDsl::get_result(query, &mut session.connection).await?;
    let relation = session.backend.relation(&Backend::parse(&backend));
    Ok(Found { encoding, read_only, missing_column, missing_privilege, shape, relation })
}

type Row = (String, String, bool, Option<String>, Option<String>, Option<String>);

#[derive(QueryId)]
struct Look {
    tables: Vec<&'static str>,
    columns: Vec<&'static str>,
    privileges: Vec<&'static str>,
}

impl Query for Look {
    type SqlType = (Text, Text, Bool, Nullable<Text>, Nullable<Text>, Nullable<Text>);
}

impl QueryFragment<Pg> for Look {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH needed AS MATERIALIZED (SELECT n.relation, n.attribute, n.privilege, \
             a.attrelid, a.attnum, a.atttypid, a.atttypmod FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.tables)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.columns)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.privileges)?;
        out.push_sql(
            ") AS n (relation, attribute, privilege) LEFT JOIN pg_attribute AS a \
             ON a.attrelid = to_regclass(n.relation) AND a.attname = n.attribute AND NOT a.attisdropped) \
             SELECT ",
        );
        out.push_sql(Backend::SQL);
        out.push_sql(
            ", current_setting('server_encoding'), \
             current_setting('transaction_read_only') = 'on', \
             (SELECT min(relation || '.' || attribute) FROM needed WHERE attnum IS NULL), \
             (SELECT min(privilege || ' on ' || relation || '.' || attribute) FROM needed \
             WHERE attnum IS NOT NULL AND NOT CASE privilege WHEN 'DELETE' \
             THEN has_table_privilege(attrelid, privilege) \
             ELSE has_column_privilege(attrelid, attnum, privilege) END), \
             (SELECT string_agg(concat_ws(' ', attrelid, attnum, atttypid, atttypmod), ',' \
             ORDER BY attrelid, attnum) FROM needed)",
        );
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Look {}
