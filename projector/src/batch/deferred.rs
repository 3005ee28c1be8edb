//! Constraints that PostgreSQL would check at the commit, where a refusal rolls everything back and blames no event.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use super::DrainError;
use super::deferrable;

/// Whether a table that this process writes has such constraints. Looked up before the first batch, and again after a batch that
/// failed: there may be a new constraint, or another server.
#[derive(Default)]
pub(super) struct Deferred(Mutex<Option<bool>>);

impl Deferred {
    pub(super) async fn look_up(&self, connection: &mut AsyncPgConnection) -> QueryResult<bool> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known {
            return Ok(known);
        }
        let found = deferrable::can_constraints_be_deferred(connection).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(found)
    }

    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Checks what has been written so far. What is written next may be checked later again: two projections may need each other's
/// rows.
pub(super) async fn check(connection: &mut AsyncPgConnection) -> Result<(), DrainError> {
    let start = Instant::now();
    let check = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED";
    connection.batch_execute(check).await.map_err(|source| DrainError::Projection {
        projection: "deferred constraints",
        took: start.elapsed(),
        source,
    })
}
