//! A bounded pool of PostgreSQL connections on which every wait has a limit.

mod config;

use std::time::Duration;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool as pooled;
use futures_util::future::BoxFuture;

pub use self::config::DatabaseConfig;

/// Connections to one database, shared by the tasks of a process.
pub type Pool = pooled::Pool<AsyncPgConnection>;

type Connection = pooled::Object<AsyncPgConnection>;

/// Why no connection could be had from a [`Pool`] within its limits.
pub type PoolError = pooled::PoolError;

/// One database, reached through a pool, on which nothing is waited for without a limit.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    answer_limit: Duration,
    pool_wait: Duration,
    shortest_timeout: Duration,
}

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection; nothing was asked.
    #[error("no connection to the database")]
    Connect(#[source] PoolError),
    /// The database said no, or the connection was lost.
    #[error("the statement failed")]
    Statement(#[source] DieselError),
    /// No answer came in time. What was asked may have been done.
    #[error("the database did not answer")]
    Silent,
}

impl Database {
    /// Does `work`, which is one statement, on a connection of the pool. A connection that gives no answer in time is
    /// closed rather than given back: its statement may still be running.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub async fn run<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        W: for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let mut connection = self.pool.get().await.map_err(DatabaseError::Connect)?;
        let answered = tokio::time::timeout(self.answer_limit, work(&mut connection)).await;
        match answered {
            Ok(result) => result.map_err(DatabaseError::Statement),
            Err(_elapsed) => {
                drop(Connection::take(connection));
                Err(DatabaseError::Silent)
            }
        }
    }

    /// No statement ends by a timeout, its own or that of a lock, before it has run for this long.
    #[must_use]
    pub fn shortest_timeout(&self) -> Duration {
        self.shortest_timeout
    }

    /// [`Self::run`] takes no longer than this, all waits together, where a connection is there or can be had at once.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.pool_wait + self.answer_limit
    }

    /// The pool, for transactions of several statements.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}
