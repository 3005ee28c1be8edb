//! Running a query, for [`super::queries`] and [`super::watch`].

use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use crate::port::QueryError;

/// Runs `work` on a connection of `database`.
pub(super) async fn query<T, W>(database: &Database, work: W) -> Result<T, QueryError>
where
    W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
{
    database.read(work).await.map_err(|error| QueryError(Arc::new(error)))
}
