//! Deferred constraints: PostgreSQL would check them at the commit, where a violation rolls everything back and names
//! no event.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use diesel::QueryResult;
use diesel::sql_types::Bool;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use service_kit::statement;

use super::BatchError;

/// Whether a table that this process writes has deferrable constraints. Queried before the first batch, and again after
/// a failed one: there may be a new constraint, or another server.
#[derive(Default)]
pub(super) struct DeferredConstraints(Mutex<Option<bool>>);

impl DeferredConstraints {
    pub(super) async fn exist(&self, connection: &mut AsyncPgConnection) -> QueryResult<bool> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known {
            return Ok(known);
        }
        let found = RunQueryDsl::get_result(HasDeferrableConstraints {}, connection).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(found)
    }

    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Checks what has been written so far. Defers the constraints again afterwards: two projections may need each other's
/// rows.
pub(super) async fn check(connection: &mut AsyncPgConnection) -> Result<(), BatchError> {
    let start = Instant::now();
    let check = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED";
    connection.batch_execute(check).await.map_err(|source| BatchError::Projection {
        projection: "deferred constraints",
        took: start.elapsed(),
        source,
    })
}

statement! {
    struct HasDeferrableConstraints = "has_deferrable_constraints.sql" -> Bool {}
}
