//! Commits a batch, and finds out for each command what became of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use runtime::database::{Connection, Pool};
use uuid::Uuid;

use super::group_commit::Job;
use super::row::{OrderRow, RowError};
use super::save_batch::SaveBatch;
use super::schema::orders;
use crate::domain::Order;
use crate::port::{Saved, WriteError};

/// How often PostgreSQL may fail on a command alone (deadlock, timeout, no disk space) before it is given up.
const MAX_FAILURES: u32 = 3;

/// Stores batches, and answers the commands in them.
pub(super) struct Committer {
    pool: Pool,
    /// See [`super::Limits`].
    statement_limit: Duration,
}

/// The deadline passed before a command could be stored, or before it was known whether it had been.
#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed")]
struct DeadlinePassed;

/// An attempt that failed as a whole.
enum Failure {
    /// PostgreSQL refused: nothing of the batch is stored.
    RolledBack(DieselError),
    /// No answer came: everything or nothing is stored.
    NoAnswer,
}

impl Committer {
    pub(super) fn new(pool: Pool, statement_limit: Duration) -> Self {
        Self { pool, statement_limit }
    }

    /// Stores the batch in one transaction and answers its commands, all but those that it returns: they are to be
    /// settled one by one.
    pub(super) async fn attempt(&self, batch: Vec<Job>) -> Vec<Job> {
        let mut connection = match self.pool.get().await {
            Ok(connection) => connection,
            Err(error) => {
                let error = Arc::new(error);
                let (unknown, known): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.unknown);
                for job in known {
                    job.answer(Err(unavailable(Arc::clone(&error))));
                }
                return unknown;
            }
        };
        match self.save(&mut connection, &batch).await {
            Ok(saved) => {
                let (saved, others): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|job| saved.contains(&job.row.order_id));
                for job in saved {
                    job.answer(Ok(Saved::Stored));
                }
                if others.is_empty() { others } else { explain(&mut connection, others).await }
            }
            Err(Failure::RolledBack(error)) => refuse(batch, error),
            Err(Failure::NoAnswer) => {
                // The connection is not given back to the pool: its statement may still be running.
                drop(Connection::take(connection));
                batch.into_iter().map(|job| Job { unknown: true, ..job }).collect()
            }
        }
    }

    /// Tries a command alone, with growing pauses, until it is answered or its deadline has passed.
    pub(super) async fn settle(self: Arc<Self>, mut job: Job) {
        let mut pauses = pauses();
        while Instant::now() < job.deadline {
            let Some(unsettled) = self.attempt(vec![job]).await.pop() else { return };
            job = unsettled;
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
        let outcome = if job.unknown {
            WriteError::OutcomeUnknown(DeadlinePassed.into())
        } else {
            unavailable(DeadlinePassed)
        };
        job.answer(Err(outcome));
    }

    async fn save(
        &self,
        connection: &mut AsyncPgConnection,
        batch: &[Job],
    ) -> Result<HashSet<Uuid>, Failure> {
        let statement = SaveBatch::of(batch.iter().map(|job| &job.row));
        let saving = RunQueryDsl::load::<Uuid>(statement, connection);
        match tokio::time::timeout(self.statement_limit, saving).await {
            Ok(Ok(saved)) => Ok(saved.into_iter().collect()),
            Ok(Err(error)) if is_lost_connection(&error) => Err(Failure::NoAnswer),
            Ok(Err(error)) => Err(Failure::RolledBack(error)),
            Err(_elapsed) => Err(Failure::NoAnswer),
        }
    }
}

/// From 2 ms, doubling up to 250 ms, with jitter.
fn pauses() -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(2))
        .with_max_delay(Duration::from_millis(250))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

/// For commands that were not stored, although PostgreSQL is well: what is stored instead.
async fn explain(connection: &mut AsyncPgConnection, jobs: Vec<Job>) -> Vec<Job> {
    let mut stored = match load(connection, jobs.iter().map(|job| job.row.order_id).collect()).await {
        Ok(stored) => stored,
        Err(_try_again) => return jobs,
    };
    let mut unsettled = Vec::new();
    for job in jobs {
        match stored.remove(&job.row.order_id) {
            None if job.row.version > 1 => job.answer(Err(refused("the order is gone"))),
            None => unsettled.push(job),
            Some(Err(error)) => job.answer(Err(refused(error))),
            Some(Ok(order)) if job.unknown && job.row.is_stored_as(&order) => job.answer(Ok(Saved::Stored)),
            // The row still has the version that this change was computed from, so somebody had it locked.
            Some(Ok(order)) if order.version() == job.row.version - 1 => unsettled.push(job),
            Some(Ok(order)) => job.answer(Ok(Saved::Superseded(Box::new(order)))),
        }
    }
    unsettled
}

/// PostgreSQL refused the batch. Whose fault it is shows when each is tried alone.
fn refuse(mut batch: Vec<Job>, error: DieselError) -> Vec<Job> {
    use DatabaseErrorKind::{CheckViolation, NotNullViolation};
    if batch.len() > 1 {
        return batch;
    }
    if let Some(mut job) = batch.pop() {
        job.failures += 1;
        if matches!(error, DieselError::DatabaseError(CheckViolation | NotNullViolation, _)) {
            job.answer(Err(refused(error)));
        } else if job.failures >= MAX_FAILURES {
            // diesel-async tells a deadlock, a timeout and a full disk from each other by their text alone. All of
            // them pass, and nothing was stored.
            job.answer(Err(unavailable(error)));
        } else {
            return vec![job];
        }
    }
    Vec::new()
}

async fn load(
    connection: &mut AsyncPgConnection,
    ids: Vec<Uuid>,
) -> QueryResult<HashMap<Uuid, Result<Order, RowError>>> {
    let rows: Vec<OrderRow> = orders::table
        .filter(orders::order_id.eq_any(ids))
        .select(OrderRow::as_select())
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.order_id(), Order::try_from(row))).collect())
}

fn is_lost_connection(error: &DieselError) -> bool {
    use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    !matches!(error, DieselError::DatabaseError(kind, _) if !matches!(kind, ClosedConnection | UnableToSendCommand))
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::Unavailable(error.into())
}

fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::Refused(error.into())
}
