//! A bounded pool of PostgreSQL connections. Every wait has a limit, and only sessions in a known state are reused.
//!
//! | Module | Holds |
//! |---|---|
//! | `attempt` | runs a statement, and repeats it if that is safe and useful |
//! | `backend` | identifies the server process behind a session |
//! | `config` | the `DATABASE_*` variables |
//! | `url` | which `DATABASE_URL` is accepted |
//! | `target` | where a connection leads, and how it is opened |
//! | `targets` | reads the URL again for each connection, if it comes from a file |
//! | `tls` | verifies the server, and says why it is refused |
//! | `connect` | opens a session and checks its settings |
//! | `pool_metrics` | metrics of one pool |
//! | `pooling` | detects a pooler that assigns a session per transaction |
//! | `session` | a session in use: closed unless it is given back |
//! | `statement_limit` | a limit on each statement of a transaction |
//! | `statement` | statements whose SQL is a file |
//! | `session_validity` | which sessions of the process may still be used |
//! | `session_effect` | classifies errors by what they say about their session |
//! | `public_reason` | says in public why the database could not be used |
//! | `citus` | refuses nodes of Citus that do not own the schema |
//! | `check` | checks that the database is what the process needs |

mod attempt;
mod backend;
mod check;
mod citus;
mod config;
mod connect;
#[cfg(feature = "web")]
mod pool_metrics;
mod pooling;
mod public_reason;
mod session;
mod settings;

mod session_effect;
mod session_validity;
#[doc(hidden)]
pub mod statement;
mod statement_limit;
mod target;
mod targets;
mod tls;
mod url;

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::TimeoutType;
use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;

use self::attempt::Repeat;
pub use self::check::{CheckError, Checker, Needs};
pub use self::config::DatabaseConfig;
pub use self::connect::ConnectError;
use self::connect::{Connector, PooledConnection};
use self::pooling::Pooling;
pub use self::public_reason::public_reason;
use self::session::Lease;
pub use self::session::Session;
use self::session_validity::Validity;
pub use self::statement_limit::{NoAnswer, StatementLimit};
pub use self::target::{Wire, connect, is_url_set, url_of};
pub use self::tls::{TlsError, TlsFileError};
pub use self::url::read_url;
use crate::health::Health;
#[cfg(feature = "web")]
use crate::metrics::Registry;

/// Counts a connection that the pool could not provide.
type CountFailure = dyn Fn(&PoolError) + Send + Sync;

type Pool = deadpool::managed::Pool<Connector>;

/// Why the pool provided no connection within its limits.
pub type PoolError = deadpool::managed::PoolError<ConnectError>;

/// Added to the limits of one attempt, so that a second one is possible after a dead connection.
const SECOND_ATTEMPT: Duration = Duration::from_secs(1);

/// A database behind a pool. Every wait has a limit.
///
/// A connection returns to the pool only after success, or after an error that is known to leave its session intact. It
/// is closed after every other error, when no response comes in time, and when the future that uses it is dropped.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    validity: Arc<Validity>,
    pooling: Arc<Pooling>,
    limits: Limits,
    health: Option<Health>,
    count_failure: Option<Arc<CountFailure>>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    response_limit: Duration,
    pool_wait: Duration,
    connect_timeout: Duration,
    lock_or_statement_timeout: Duration,
}

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection; nothing was done.
    #[error("no connection to the database")]
    Connect(#[source] PoolError),
    /// The database refused the statement; nothing of it was done.
    #[error("the statement failed")]
    Statement(#[source] DieselError),
    /// The connection was lost. The statement may have been executed.
    #[error("the connection to the database was lost")]
    Lost(#[source] DieselError),
    /// No response came in time. The statement may have been executed.
    #[error("the database did not respond")]
    NoAnswer,
}

impl DatabaseError {
    /// Whether all connections stayed busy for `DATABASE_POOL_WAIT_MS`: the load exceeds the capacity.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        matches!(self, Self::Connect(PoolError::Timeout(TimeoutType::Wait)))
    }
}

impl Database {
    /// Reports each success of [`Self::run`], [`Self::read`] and [`Self::write`] to `health`.
    #[must_use]
    pub fn reporting_to(mut self, health: &Health) -> Self {
        self.health = Some(health.clone());
        self
    }

    /// Shows this pool in the metrics of `registry`, under `name`.
    #[cfg(feature = "web")]
    #[must_use]
    pub fn measured(mut self, registry: &Registry, name: &str) -> Self {
        let metrics = pool_metrics::PoolMetrics::register(registry, name, &self.pool);
        self.count_failure = Some(Arc::new(move |error| metrics.count(error)));
        self
    }

    /// Runs `work`, a single statement, on a connection of the pool.
    pub async fn run<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        W: for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let mut lease = self.lease().await.map_err(DatabaseError::Connect)?;
        let attempt =
            self.attempt(&mut lease, self.limits.response_limit, |session| work(&mut session.connection));
        attempt.await.map_err(|failed| failed.error)
    }

    /// Runs `work`, which only reads. After an error that may be the session's fault, it runs once more on a new
    /// connection. Both attempts together take at most [`Self::longest_wait`].
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] of the last attempt.
    pub async fn read<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let limit = self.limits.response_limit;
        self.attempt_twice(Repeat::Reads, limit, |session| work(&mut session.connection)).await
    }

    /// Runs `work`, a single statement that writes. It runs once more, as in [`Self::read`], only if the first attempt
    /// certainly did nothing.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] of the last attempt.
    pub async fn write<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let limit = self.limits.response_limit;
        self.attempt_twice(Repeat::Everything, limit, |session| work(&mut session.connection)).await
    }

    /// A connection for a transaction of several statements. Dropping it closes it: return it with
    /// [`Session::give_back`] after success and with [`Session::give_back_after`] after an error.
    pub async fn session(&self) -> Result<Session, PoolError> {
        let lease = self.lease().await?;
        Ok(Session::new(lease, Arc::clone(&self.validity), self.limits))
    }

    /// The shorter of the statement and lock timeouts.
    #[must_use]
    pub fn lock_or_statement_timeout(&self) -> Duration {
        self.limits.lock_or_statement_timeout
    }

    /// Upper bound of [`Self::run`], [`Self::read`] and [`Self::write`] if a connection is available or can be opened
    /// at once.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.limits.pool_wait + self.limits.response_limit + SECOND_ATTEMPT
    }

    /// A connection that is not suspect.
    async fn lease(&self) -> Result<Lease, PoolError> {
        let mut lease = Lease::new(self.pool.get().await.inspect_err(|error| self.count(error))?);
        if self.validity.is_suspect(lease.opened()) {
            self.reopen(&mut lease).await?;
        }
        Ok(lease)
    }

    /// Replaces the connection by a new one. Its slot in the pool stays taken, so that the pool never exceeds its size.
    async fn reopen(&self, lease: &mut Lease) -> Result<(), PoolError> {
        lease.close();
        lease.replace(self.open().await?);
        Ok(())
    }

    /// Opens a connection outside the pool.
    async fn open(&self) -> Result<PooledConnection, PoolError> {
        let opened = tokio::time::timeout(self.limits.connect_timeout, self.pool.manager().open()).await;
        let opened = opened.map_err(|_| PoolError::Timeout(TimeoutType::Create));
        opened.and_then(|opened| opened.map_err(PoolError::Backend)).inspect_err(|error| self.count(error))
    }

    fn count(&self, error: &PoolError) {
        if let Some(count) = &self.count_failure {
            count(error);
        }
    }
}
