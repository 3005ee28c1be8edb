//! Savepoints around parts of a batch.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use super::DrainError;

/// Most savepoints that write in one transaction. Beyond this many PostgreSQL's snapshots get slower for everybody.
pub(super) const SAVEPOINTS_MAX: usize = 64;

/// One savepoint after the other, on the same level.
pub(super) struct Savepoints {
    kept: usize,
    lock_timeout: Option<Duration>,
}

impl Savepoints {
    pub(super) async fn begin(connection: &mut AsyncPgConnection) -> Result<Self, DrainError> {
        connection.batch_execute("SAVEPOINT part").await?;
        Ok(Self { kept: 0, lock_timeout: None })
    }

    /// How many parts have been kept.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// The lock timeout that holds now; nothing for that of the session.
    pub(super) fn lock_timeout(&self) -> Option<Duration> {
        self.lock_timeout
    }

    /// Keeps what was written since the last one, and begins another where there is `more`.
    pub(super) async fn keep(
        &mut self,
        connection: &mut AsyncPgConnection,
        more: bool,
    ) -> Result<(), DrainError> {
        self.kept += 1;
        if !more {
            return Ok(());
        }
        if self.kept >= SAVEPOINTS_MAX {
            return Err(DrainError::TooManySavepoints);
        }
        Ok(connection.batch_execute("RELEASE SAVEPOINT part; SAVEPOINT part").await?)
    }

    /// Takes back what was written since the last one.
    pub(super) async fn undo(&self, connection: &mut AsyncPgConnection) -> Result<(), DrainError> {
        let back = "ROLLBACK TO SAVEPOINT part";
        let Some(lock_timeout) = self.lock_timeout else {
            return Ok(connection.batch_execute(back).await?);
        };
        // What was set after the savepoint has been taken back with it.
        let statements = format!("{back}; SET LOCAL lock_timeout = {}", lock_timeout.as_millis());
        Ok(connection.batch_execute(&statements).await?)
    }

    /// The same, with another lock timeout from now on.
    pub(super) async fn undo_and_wait(
        &mut self,
        connection: &mut AsyncPgConnection,
        lock_timeout: Duration,
    ) -> Result<(), DrainError> {
        self.lock_timeout = Some(lock_timeout);
        self.undo(connection).await
    }
}
