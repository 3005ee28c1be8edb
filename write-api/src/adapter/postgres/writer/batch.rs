//! Executes one batch in one statement, and replies to its callers.

use std::collections::HashSet;
use std::sync::Arc;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError, PoolError};
use uuid::Uuid;

use super::pending_write::PendingWrite;
use super::save_batch::SaveBatch;
use super::trace::{BatchTrace, reason};
use super::{refused, unavailable};
use crate::port::SaveResult;

/// How often PostgreSQL may reject a write that is tried alone (deadlock, timeout, full disk) before the write fails.
const MAX_FAILURES: u32 = 5;

/// An executed batch, and PostgreSQL's result.
#[must_use = "the callers of its writes wait for replies"]
pub(super) struct ExecutedBatch {
    batch: Vec<PendingWrite>,
    saved: Result<Vec<Uuid>, DatabaseError>,
    trace: Option<BatchTrace>,
}

impl ExecutedBatch {
    /// Stores the batch in one transaction.
    pub(super) async fn execute(database: &Database, batch: Vec<PendingWrite>) -> Self {
        if batch.is_empty() {
            return Self { batch, saved: Ok(Vec::new()), trace: None };
        }
        let mut trace = BatchTrace::begin(&batch);
        let saved = database.write(|connection| {
            let statement = SaveBatch::new(batch.iter().map(|write| &write.row));
            RunQueryDsl::load::<Uuid>(statement, connection).boxed()
        });
        let saved = saved.await;
        if let Some(trace) = &mut trace {
            trace.executed();
        }
        Self { batch, saved, trace }
    }

    /// Replies to each write whose outcome is known. The others are returned, to be resolved.
    pub(super) fn reply(self) -> Vec<PendingWrite> {
        let Self { batch, saved, trace } = self;
        let saved = saved.map(|saved| saved.into_iter().collect());
        let outcome = trace.map(|trace| (trace, saved.as_ref().cloned().map_err(reason)));
        let unresolved = reply_all(batch, saved);
        if let Some((trace, outcome)) = outcome {
            trace.record(&outcome);
        }
        unresolved
    }
}

fn reply_all(batch: Vec<PendingWrite>, saved: Result<HashSet<Uuid>, DatabaseError>) -> Vec<PendingWrite> {
    match saved {
        Ok(saved) => reply_saved(batch, &saved),
        Err(DatabaseError::Connect(error)) => fail_unsent(batch, error),
        Err(DatabaseError::Statement(error)) => handle_rejection(batch, error),
        // The whole batch was stored, or nothing.
        Err(DatabaseError::Lost(_) | DatabaseError::NoAnswer) => {
            batch.into_iter().map(|write| PendingWrite { outcome_unknown: true, ..write }).collect()
        }
    }
}

fn reply_saved(batch: Vec<PendingWrite>, saved: &HashSet<Uuid>) -> Vec<PendingWrite> {
    let (saved, others): (Vec<_>, Vec<_>) =
        batch.into_iter().partition(|write| saved.contains(&write.row.order_id));
    for write in saved {
        write.reply(Ok(SaveResult::Stored));
    }
    others
}

/// No connection. Writes that were never sent fail now; writes with an unknown outcome stay pending.
fn fail_unsent(batch: Vec<PendingWrite>, error: PoolError) -> Vec<PendingWrite> {
    let error = Arc::new(error);
    let (outcome_unknown, unsent): (Vec<_>, Vec<_>) =
        batch.into_iter().partition(|write| write.outcome_unknown);
    for write in unsent {
        write.reply(Err(unavailable(Arc::clone(&error))));
    }
    outcome_unknown
}

/// PostgreSQL rejected the batch. Each write is then tried alone, to find the one at fault.
fn handle_rejection(mut batch: Vec<PendingWrite>, error: DieselError) -> Vec<PendingWrite> {
    use DatabaseErrorKind::{CheckViolation, NotNullViolation};
    // An earlier attempt may have stored the write: the rejection of this attempt does not decide its outcome.
    if batch.len() > 1 || batch.iter().any(|write| write.outcome_unknown) {
        return batch;
    }
    if let Some(mut write) = batch.pop() {
        write.failures += 1;
        if matches!(error, DieselError::DatabaseError(CheckViolation | NotNullViolation, _)) {
            write.reply(Err(refused(error)));
        } else if write.failures >= MAX_FAILURES {
            // A deadlock, a timeout and a full disk differ only by message in diesel-async. All of them are temporary,
            // and nothing was stored.
            write.reply(Err(unavailable(error)));
        } else {
            return vec![write];
        }
    }
    Vec::new()
}
