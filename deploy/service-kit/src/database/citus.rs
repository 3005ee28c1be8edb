//! Refuses sessions on a node of Citus that does not own their schema.
//!
//! The statements work there too, but their answers are wrong: ids of transactions and snapshots are those of different
//! servers.

use diesel::QueryResult;
use diesel::sql_types::{Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio_postgres::{Client, SimpleQueryRow};

use super::connect::{ConnectError, query};
use super::target::Wire;

/// SQL expression: whether there are the catalogs that the query names. Without Citus 12 or later there are none.
pub(super) const IS_PRESENT: &str = "to_regclass('pg_catalog.pg_dist_schema') IS NOT NULL";

/// Checks a new session. The last column of `row` is [`IS_PRESENT`].
pub(super) async fn refuse_wrong_node(
    client: &Client,
    wire: &mut Wire,
    row: &SimpleQueryRow,
) -> Result<(), ConnectError> {
    let is_present = row.len().checked_sub(1).and_then(|last| row.try_get(last).ok().flatten());
    if is_present != Some("t") {
        return Ok(());
    }
    let found = query(client, wire, include_str!("owner_elsewhere.sql")).await?;
    match found.try_get(0) {
        Ok(Some(owner)) => Err(ConnectError::WrongNode(owner.to_owned())),
        _ => Ok(()),
    }
}

/// The address of the node that owns the session's schema, unless the session is there.
pub(super) async fn owner_elsewhere(connection: &mut AsyncPgConnection) -> QueryResult<Option<String>> {
    RunQueryDsl::get_result(OwnerElsewhere {}, connection).await
}

crate::statement! {
    struct OwnerElsewhere = "owner_elsewhere.sql" -> Nullable<Text> {}
}
