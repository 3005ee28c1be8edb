//! Runs a statement, and repeats it on a new connection if that is safe and useful.

use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::BoxFuture;

use super::connect::PooledConnection;
use super::session::{Lease, StatementOutcome};
use super::session_effect::{self, SessionEffect};
use super::{Database, DatabaseError};

/// How long a session may take to respond to a ping after an error.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// Which work may be repeated on a new connection after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Repeat {
    /// None: another attempt would fail in the same way.
    Nothing,
    /// All: nothing was executed.
    Everything,
    /// Only reads: the statement may have been executed.
    Reads,
}

pub(super) struct Failed {
    pub(super) error: DatabaseError,
    repeat: Repeat,
}

impl Database {
    pub(super) async fn attempt_twice<T, W>(
        &self,
        allowed: Repeat,
        limit: Duration,
        work: W,
    ) -> Result<T, DatabaseError>
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
        // Once the second attempt was sent, its outcome is unknown, whatever the first error was.
        second.unwrap_or_else(|_elapsed| Err(if is_sent { DatabaseError::NoAnswer } else { failed.error }))
    }

    /// Runs `work` on the connection, then keeps or closes the connection.
    pub(super) async fn attempt<T, W>(&self, lease: &mut Lease, limit: Duration, work: W) -> Result<T, Failed>
    where
        W: for<'c> FnOnce(&'c mut PooledConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        let start = Instant::now();
        let Ok(result) = tokio::time::timeout(limit, work(lease.session())).await else {
            lease.close();
            self.validity.suspect(Instant::now());
            return Err(Failed { error: DatabaseError::NoAnswer, repeat: Repeat::Reads });
        };
        let error = match result {
            Ok(done) => {
                lease.succeeded(&self.validity);
                if let Some(health) = &self.health {
                    health.succeeded();
                }
                return Ok(done);
            }
            Err(error) => error,
        };
        let effect = session_effect::classify(&error, start.elapsed(), self.limits.lock_or_statement_timeout);
        // The error itself does not show whether the server ends the session; a ping does.
        let is_unexplained = matches!(effect, SessionEffect::Unexplained | SessionEffect::Timeout);
        if is_unexplained && !responds(&mut lease.session().connection).await {
            lease.close();
            return Err(Failed { error: DatabaseError::Lost(error), repeat: Repeat::Reads });
        }
        Err(match lease.failed(effect, &self.validity) {
            StatementOutcome::Refused => {
                Failed { error: DatabaseError::Statement(error), repeat: Repeat::Nothing }
            }
            StatementOutcome::Retryable => {
                Failed { error: DatabaseError::Statement(error), repeat: Repeat::Everything }
            }
            StatementOutcome::Unknown => Failed { error: DatabaseError::Lost(error), repeat: Repeat::Reads },
        })
    }
}

async fn responds(connection: &mut AsyncPgConnection) -> bool {
    matches!(tokio::time::timeout(PING_LIMIT, connection.batch_execute("")).await, Ok(Ok(())))
}
