//! Where Citus has distributed the schema: which node owns it, and what the nodes lack.

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Bool, Text};
use diesel::{QueryResult, RunQueryDsl};

use super::{Finding, GRANTS, findings};
use crate::session::BlockingConnection;

const NAME: &str = "citus";

pub(super) fn examine(connection: &mut BlockingConnection) -> QueryResult<Vec<Finding>> {
    // The queries name catalogs of Citus, which PostgreSQL would not find.
    let exists = holds(connection, "to_regclass('pg_catalog.pg_dist_schema') IS NOT NULL")?;
    if !exists || !holds(connection, IS_DISTRIBUTED)? {
        return Ok(Vec::new());
    }
    // A node that does not answer is asked by this one, and by all others.
    connection.batch_execute(
        "SET LOCAL citus.node_connection_timeout = '5s'; SET LOCAL statement_timeout = '90s'",
    )?;
    let owner = diesel::sql_query(include_str!("citus/owner.sql")).load(connection)?;
    let grants =
        diesel::sql_query(include_str!("citus/grants.sql")).bind::<Text, _>(GRANTS).load(connection)?;
    let fence = diesel::sql_query(include_str!("citus/fence.sql")).load(connection)?;
    Ok([owner, grants, fence].into_iter().flat_map(|rows| findings(NAME, rows)).collect())
}

const IS_DISTRIBUTED: &str =
    "EXISTS (SELECT FROM pg_dist_schema WHERE schemaid = quote_ident(current_schema())::regnamespace)";

fn holds(connection: &mut BlockingConnection, condition: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::sql::<Bool>(condition)).get_result(connection)
}
