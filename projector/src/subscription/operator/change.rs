//! Runs a change in a transaction.

use diesel_async::{AsyncConnection, AsyncPgConnection};
use futures_util::future::BoxFuture;
use service_kit::database::{Database, NoAnswer, PoolError};

use super::error::OperatorError;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Nothing was changed.
    #[error("no connection to the database")]
    NoConnection(#[source] PoolError),
    /// The subscription may have been changed.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// Nothing was changed.
    #[error(transparent)]
    Refused(#[from] OperatorError),
}

/// Runs `work` with the name of a subscription, in a transaction.
///
/// # Errors
///
/// [`ChangeError`]
pub async fn change<T: Send>(
    database: &Database,
    name: &str,
    work: impl for<'c> FnOnce(&'c mut AsyncPgConnection, &'c str) -> BoxFuture<'c, Result<T, OperatorError>>
    + Send,
) -> Result<T, ChangeError> {
    let mut session = database.session().await.map_err(ChangeError::NoConnection)?;
    let each_statement = session.statement_limit();
    let changing = session.transaction(async |connection| work(connection, name).await);
    let changed = each_statement.run(changing).await?;
    if changed.is_ok() {
        session.give_back();
    }
    Ok(changed?)
}
