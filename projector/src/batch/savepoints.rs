//! Savepoints around parts of a batch.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use super::BatchError;

/// Most savepoints that write in one transaction. With more, PostgreSQL's snapshots become slower for all sessions.
pub(super) const MAX_SAVEPOINTS: usize = 64;

/// A sequence of savepoints on the same level.
pub(super) struct Savepoints {
    kept: usize,
    lock_timeout: Option<Duration>,
}

impl Savepoints {
    pub(super) async fn begin(connection: &mut AsyncPgConnection) -> Result<Self, BatchError> {
        connection.batch_execute("SAVEPOINT part").await?;
        Ok(Self { kept: 0, lock_timeout: None })
    }

    /// How many parts have been kept.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// The current lock timeout; none while the session's applies.
    pub(super) fn lock_timeout(&self) -> Option<Duration> {
        self.lock_timeout
    }

    /// Keeps everything since the last savepoint, and sets the next one if there is `more` to apply.
    pub(super) async fn keep(
        &mut self,
        connection: &mut AsyncPgConnection,
        more: bool,
    ) -> Result<(), BatchError> {
        self.kept += 1;
        if !more {
            return Ok(());
        }
        if self.kept >= MAX_SAVEPOINTS {
            return Err(BatchError::TooManySavepoints);
        }
        Ok(connection.batch_execute("RELEASE SAVEPOINT part; SAVEPOINT part").await?)
    }

    /// Rolls back to the last savepoint.
    pub(super) async fn undo(&self, connection: &mut AsyncPgConnection) -> Result<(), BatchError> {
        let rollback = "ROLLBACK TO SAVEPOINT part";
        let Some(lock_timeout) = self.lock_timeout else {
            return Ok(connection.batch_execute(rollback).await?);
        };
        // The rollback also undoes settings that were made after the savepoint.
        let statements = format!("{rollback}; SET LOCAL lock_timeout = {}", lock_timeout.as_millis());
        Ok(connection.batch_execute(&statements).await?)
    }

    /// Rolls back to the last savepoint, and sets the lock timeout from now on.
    pub(super) async fn undo_with_lock_timeout(
        &mut self,
        connection: &mut AsyncPgConnection,
        lock_timeout: Duration,
    ) -> Result<(), BatchError> {
        self.lock_timeout = Some(lock_timeout);
        self.undo(connection).await
    }
}
