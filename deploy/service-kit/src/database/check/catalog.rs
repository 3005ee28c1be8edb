//! The query of the check.

use diesel::QueryResult;
use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::Needs;
use crate::database::backend::{Backend, Relation};
use crate::database::citus;
use crate::database::connect::PooledConnection;

/// The row of the query.
pub(super) struct Found {
    pub(super) encoding: String,
    pub(super) read_only: bool,
    pub(super) wrong_path: Option<String>,
    pub(super) missing_column: Option<String>,
    pub(super) missing_function: Option<String>,
    pub(super) missing_privilege: Option<String>,
    pub(super) misplaced: Option<String>,
    pub(super) shape: Option<String>,
    pub(super) owner_elsewhere: Option<String>,
    pub(super) relation: Relation,
}

pub(super) async fn query_catalog(session: &mut PooledConnection, needs: Needs) -> QueryResult<Found> {
    let Needs { writes: _, columns, functions } = needs;
    let query = CatalogQuery {
        tables: columns.iter().map(|(table, ..)| *table).collect(),
        columns: columns.iter().map(|(_, column, _)| *column).collect(),
        privileges: columns.iter().map(|(.., privilege)| *privilege).collect(),
        functions,
    };
    let row: Row = RunQueryDsl::get_result(query, &mut session.connection).await?;
    let (
        backend,
        encoding,
        read_only,
        wrong_path,
        missing_column,
        missing_function,
        missing_privilege,
        misplaced,
        shape,
        has_citus,
    ) = row;
    let owner_elsewhere =
        if has_citus { citus::owner_elsewhere(&mut session.connection).await? } else { None };
    let relation = session.backend.relation(&Backend::parse(&backend));
    Ok(Found {
        encoding,
        read_only,
        wrong_path,
        missing_column,
        missing_function,
        missing_privilege,
        misplaced,
        shape,
        owner_elsewhere,
        relation,
    })
}

type Row = (
    String,
    String,
    bool,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    bool,
);

crate::statement! {
    struct CatalogQuery = "catalog.sql" -> (
        Text, Text, Bool, Nullable<Text>, Nullable<Text>, Nullable<Text>, Nullable<Text>, Nullable<Text>,
        Nullable<Text>, Bool
    ) {
        tables: Vec<&'static str> as Array<Text>,
        columns: Vec<&'static str> as Array<Text>,
        privileges: Vec<&'static str> as Array<Text>,
        functions: &'static [&'static str] as Array<Text>,
    }
}
