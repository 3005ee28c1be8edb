//! Catalogs as Citus has them, in a database without it: for tests of what is read there, which then run everywhere.

use tokio_postgres::{Client, Error};

/// The schema `public` is on this node, `node-1.example`, until a `pg_dist_placement` or the `pg_dist_local_group`
/// changes.
///
/// # Errors
///
/// If the session is not the superuser's, or the database has no orders.
pub async fn create(superuser: &Client) -> Result<(), Error> {
    superuser.batch_execute(include_str!("citus_catalogs.sql")).await
}
