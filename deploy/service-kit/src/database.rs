//! A bounded pool of PostgreSQL connections on which every wait has a limit, and which keeps only sessions that can be
//! trusted.
//!
//! | Module | Holds |
//! |---|---|
//! | `backend` | which process of which server works for a session |
//! | `config` | the `DATABASE_*` variables |
//! | `url` | what is accepted as `DATABASE_URL` |
//! | `connect` | opening a session and checking that it is what was asked for |
//! | `pooling` | whether a pooler in between gives each transaction another session |
//! | `lease` | a session in use: closed unless it is given back |
//! | `statement_limit` | a limit on each statement of a transaction |
//! | `statement` | statements whose SQL is a file |
//! | `trust` | which sessions of the process are no longer to be used |
//! | `verdict` | what an error says about the session it came from |
//! | `check` | whether the database is what the process needs |

mod backend;
mod check;
mod config;
mod connect;
mod lease;
mod pooling;
mod settings;

#[doc(hidden)]
pub mod statement;
mod statement_limit;
mod trust;
mod url;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::TimeoutType;
use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::BoxFuture;

pub use self::check::{CheckError, Checker, Needs};
pub use self::config::DatabaseConfig;
pub use self::connect::ConnectError;
use self::connect::{Connector, PooledConnection};
pub use self::lease::Session;
use self::lease::{Lease, Verified};
use self::pooling::Pooling;
pub use self::statement_limit::{NoAnswer, StatementLimit};
use self::trust::Trust;
pub use self::url::check_url;
use crate::health::Health;

/// Connections to one database, shared by the tasks of a process.
type Pool = deadpool::managed::Pool<Connector>;

/// Why no connection could be had from the pool within its limits.
pub type PoolError = deadpool::managed::PoolError<ConnectError>;

/// What is added to the limits of one attempt, so that there is time for a second one after a connection that was silent.
const SECOND_ATTEMPT: Duration = Duration::from_secs(1);

/// How long a session may take to show that it still answers after an error.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// One database, reached through a pool, on which nothing is waited for without a limit.
///
/// A connection goes back to the pool only after success, or after an error that is known to leave its session intact. It
/// is closed after every other error, when no answer comes in time, and when the future that uses it is dropped.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    trust: Arc<Trust>,
    pooling: Arc<Pooling>,
    limits: Limits,
    health: Option<Health>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    answer: Duration,
    pool_wait: Duration,
    connect: Duration,
    shortest_timeout: Duration,
}

/// Why the database did not do what was asked.
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
    #[error("the database did not answer")]
    NoAnswer,
}

impl DatabaseError {
    /// Whether all connections were taken for as long as anyone waits for one: more is asked for than can be done.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        matches!(self, Self::Connect(PoolError::Timeout(TimeoutType::Wait)))
    }
}

/// Which work may be tried once more on a new connection after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Repeat {
    /// None: another attempt would fail in the same way.
    Nothing,
    /// Everything: nothing was done.
    Everything,
    /// Only what may be done twice: it may have been done.
    Reads,
}

struct Failed {
    error: DatabaseError,
    repeat: Repeat,
}

impl Database {
    /// The same; each statement of [`Self::run`], [`Self::read`] and [`Self::write`] that succeeds is a success of the process.
    #[must_use]
    pub fn reporting_to(mut self, health: &Health) -> Self {
        self.health = Some(health.clone());
        self
    }

    /// Runs `work`, which is one statement, on a connection of the pool.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub async fn run<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        W: for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let mut lease = self.lease().await.map_err(DatabaseError::Connect)?;
        let attempt = self.attempt(&mut lease, self.limits.answer, |session| work(&mut session.connection));
        attempt.await.map_err(|failed| failed.error)
    }

    /// Runs `work`, which only reads. After an error that may be the session's own it is tried once more on a connection
    /// that was opened after the error. Both together take no longer than [`Self::longest_wait`].
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] of the last attempt.
    pub async fn read<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let limit = self.limits.answer;
        self.attempt_twice(Repeat::Reads, limit, |session| work(&mut session.connection)).await
    }

    /// Runs `work`, which is one statement that writes. It is tried once more, as in [`Self::read`], only where the first
    /// attempt certainly did nothing.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] of the last attempt.
    pub async fn write<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let limit = self.limits.answer;
        self.attempt_twice(Repeat::Everything, limit, |session| work(&mut session.connection)).await
    }

    /// A connection for a transaction of several statements. It is closed when it is dropped: hand it back with
    /// [`Session::give_back`] after success, and with [`Session::give_back_after`] after an error.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub async fn session(&self) -> Result<Session, PoolError> {
        let lease = self.lease().await?;
        Ok(Session::new(lease, Arc::clone(&self.trust), self.limits))
    }

    /// No statement ends by a timeout, its own or that of a lock, before it has run for this long.
    #[must_use]
    pub fn shortest_timeout(&self) -> Duration {
        self.limits.shortest_timeout
    }

    /// Upper bound of [`Self::run`], [`Self::read`] and [`Self::write`] where a connection is available, or can be opened
    /// at once.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.limits.pool_wait + self.limits.answer + SECOND_ATTEMPT
    }

    /// A connection that is not in doubt.
    async fn lease(&self) -> Result<Lease, PoolError> {
        let mut lease = Lease::new(self.pool.get().await?);
        if self.trust.is_doubtful(lease.opened()) {
            self.reopen(&mut lease).await?;
        }
        Ok(lease)
    }

    /// Replaces the connection by a new one. Its place in the pool stays taken meanwhile, so that the pool never holds more
    /// than its size.
    async fn reopen(&self, lease: &mut Lease) -> Result<(), PoolError> {
        lease.close();
        lease.replace(self.open().await?);
        Ok(())
    }

    /// A connection that does not belong to the pool.
    async fn open(&self) -> Result<PooledConnection, PoolError> {
        let opened = tokio::time::timeout(self.limits.connect, self.pool.manager().open()).await;
        opened.map_err(|_| PoolError::Timeout(TimeoutType::Create))?.map_err(PoolError::Backend)
    }

    async fn attempt_twice<T, W>(&self, allowed: Repeat, limit: Duration, work: W) -> Result<T, DatabaseError>
    where
        W: for<'c> Fn(&'c mut PooledConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let deadline = tokio::time::Instant::now() + self.longest_wait();
        let mut lease = self.lease().await.map_err(DatabaseError::Connect)?;
        let failed = match self.attempt(&mut lease, limit, &work).await {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        if failed.repeat == Repeat::Nothing || failed.repeat > allowed {
            return Err(failed.error);
        }
        let mut is_sent = false;
        let again = async {
            self.reopen(&mut lease).await.map_err(DatabaseError::Connect)?;
            is_sent = true;
            self.attempt(&mut lease, limit, &work).await.map_err(|failed| failed.error)
        };
        let second = tokio::time::timeout_at(deadline, again).await;
        // The error of the first attempt says nothing about what a second one may have done.
        second.unwrap_or_else(|_elapsed| Err(if is_sent { DatabaseError::NoAnswer } else { failed.error }))
    }

    /// Runs `work` on the connection, and decides what becomes of it.
    async fn attempt<T, W>(&self, lease: &mut Lease, limit: Duration, work: W) -> Result<T, Failed>
    where
        W: for<'c> FnOnce(&'c mut PooledConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let start = Instant::now();
        let Ok(result) = tokio::time::timeout(limit, work(lease.session())).await else {
            lease.close();
            self.trust.doubt(Instant::now());
            return Err(Failed { error: DatabaseError::NoAnswer, repeat: Repeat::Reads });
        };
        let error = match result {
            Ok(done) => {
                lease.succeeded(&self.trust);
                if let Some(health) = &self.health {
                    health.succeeded();
                }
                return Ok(done);
            }
            Err(error) => error,
        };
        let verdict = verdict::of(&error, start.elapsed(), self.limits.shortest_timeout);
        // An error after which the server ends the session looks like one after which it does not.
        let is_unexplained = matches!(verdict, verdict::Verdict::Unexplained | verdict::Verdict::Timeout);
        if is_unexplained && !answers(&mut lease.session().connection).await {
            lease.close();
            return Err(Failed { error: DatabaseError::Lost(error), repeat: Repeat::Reads });
        }
        Err(match lease.failed(verdict, &self.trust) {
            Verified::Intact => Failed { error: DatabaseError::Statement(error), repeat: Repeat::Nothing },
            Verified::Refused => {
                Failed { error: DatabaseError::Statement(error), repeat: Repeat::Everything }
            }
            Verified::Lost => Failed { error: DatabaseError::Lost(error), repeat: Repeat::Reads },
        })
    }
}

async fn answers(connection: &mut AsyncPgConnection) -> bool {
    matches!(tokio::time::timeout(PING_LIMIT, connection.batch_execute("")).await, Ok(Ok(())))
}
