//! Commits a batch, and finds out for each command what became of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use runtime::database::{Database, DatabaseError, PoolError};
use runtime::overload::OncePerSecond;
use uuid::Uuid;

use super::job::Job;
use super::row::{RowError, TracedRow};
use super::save_batch::SaveBatch;
use super::schema::orders;
use crate::domain::Order;
use crate::port::{Saved, WriteError};

/// How often PostgreSQL may fail on a command alone (deadlock, timeout, no disk space) before it is given up.
const MAX_FAILURES: u32 = 5;

/// Stores batches, and answers the commands in them.
pub(super) struct Committer {
    commits: Database,
    database: Database,
}

/// A row keeps the ids of the attempts that made so many of its versions: see [`SaveBatch`].
const KEPT_ATTEMPTS: i32 = 8;

/// The deadline passed before a command could be stored, or before it was known whether it had been.
#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed")]
struct DeadlinePassed;

/// What became of a command can no longer be told from what is stored.
#[derive(Debug, thiserror::Error)]
enum TraceLost {
    #[error("the order has changed too often since then")]
    Overwritten,
    #[error("the order is gone")]
    OrderGone,
}

impl Committer {
    pub(super) fn new(commits: Database, database: Database) -> Self {
        Self { commits, database }
    }

    /// Stores the batch in one transaction.
    pub(super) async fn attempt(&self, batch: Vec<Job>) -> Attempt {
        Attempt::over(&self.commits, batch).await
    }

    /// Answers commands by what is stored, in one look for all; what that does not settle is tried alone.
    pub(super) async fn settle_all(self: Arc<Self>, jobs: Vec<Job>) {
        for job in self.explain(jobs).await {
            tokio::spawn(Arc::clone(&self).settle(job));
        }
    }

    /// Tries a command alone, with growing pauses, until it is answered or its deadline has passed. After each attempt it
    /// looks at what is stored: that also works where nothing can be stored any more.
    async fn settle(self: Arc<Self>, mut job: Job) {
        let mut pauses = pauses();
        while Instant::now() < job.deadline {
            let unsettled = Attempt::over(&self.database, vec![job]).await.answer();
            let Some(unsettled) = self.explain(unsettled).await.pop() else { return };
            job = unsettled;
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
        let outcome = if job.unknown { outcome_unknown(DeadlinePassed) } else { unavailable(DeadlinePassed) };
        job.answer(Err(outcome));
    }

    /// Answers commands by what is stored under their orders' ids; those that this does not settle come back.
    async fn explain(&self, jobs: Vec<Job>) -> Vec<Job> {
        if jobs.is_empty() {
            return jobs;
        }
        let ids: Vec<_> = jobs.iter().map(|job| job.row.order_id).collect();
        let look_up = self.database.read(|connection| {
            let query = orders::table.filter(orders::order_id.eq_any(ids.clone()));
            query.select(TracedRow::as_select()).load::<TracedRow>(connection).boxed()
        });
        let rows = match look_up.await {
            Ok(rows) => rows,
            Err(error) => {
                static UNREAD: OncePerSecond = OncePerSecond::new();
                if let Some(times) = UNREAD.count() {
                    let error = runtime::telemetry::chain(&error);
                    tracing::warn!(times, error, "cannot look up what is stored");
                }
                return jobs;
            }
        };
        let stored: HashMap<_, _> =
            rows.into_iter().map(|row| (row.order.order_id(), StoredState::from(row))).collect();
        jobs.into_iter().filter_map(|job| explain_one(stored.get(&job.row.order_id), job)).collect()
    }
}

/// A batch, and what PostgreSQL said to it.
#[must_use = "its callers wait for their answers"]
pub(super) struct Attempt {
    batch: Vec<Job>,
    saved: Result<Vec<Uuid>, DatabaseError>,
}

impl Attempt {
    async fn over(database: &Database, batch: Vec<Job>) -> Self {
        if batch.is_empty() {
            return Self { batch, saved: Ok(Vec::new()) };
        }
        let saved = database.write(|connection| {
            let statement = SaveBatch::of(batch.iter().map(|job| &job.row));
            RunQueryDsl::load::<Uuid>(statement, connection).boxed()
        });
        let saved = saved.await;
        Self { batch, saved }
    }

    /// Answers the commands, all but those that it returns: they are to be settled.
    pub(super) fn answer(self) -> Vec<Job> {
        let Self { batch, saved } = self;
        match saved {
            Ok(saved) => answer_saved(batch, &saved.into_iter().collect()),
            Err(DatabaseError::Connect(error)) => give_up_the_known(batch, error),
            Err(DatabaseError::Statement(error)) => refuse(batch, error),
            // Everything or nothing of the batch is stored.
            Err(DatabaseError::Lost(_) | DatabaseError::Silent) => {
                batch.into_iter().map(|job| Job { unknown: true, ..job }).collect()
            }
        }
    }
}

/// Answers those that were stored, and returns the others.
fn answer_saved(batch: Vec<Job>, saved: &HashSet<Uuid>) -> Vec<Job> {
    let (saved, others): (Vec<_>, Vec<_>) =
        batch.into_iter().partition(|job| saved.contains(&job.row.order_id));
    for job in saved {
        job.answer(Ok(Saved::Stored));
    }
    others
}

/// There is no connection: whoever knows that nothing was stored is told at once.
fn give_up_the_known(batch: Vec<Job>, error: PoolError) -> Vec<Job> {
    let error = Arc::new(error);
    let (unknown, known): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.unknown);
    for job in known {
        job.answer(Err(unavailable(Arc::clone(&error))));
    }
    unknown
}

/// What is stored of an order.
struct StoredState {
    order: Result<Order, RowError>,
    version: i32,
    attempts: Vec<i64>,
}

impl From<TracedRow> for StoredState {
    fn from(TracedRow { order, write_attempts }: TracedRow) -> Self {
        Self {
            version: order.version(),
            order: order.try_into(),
            attempts: write_attempts.unwrap_or_default().into_iter().flatten().collect(),
        }
    }
}

impl StoredState {
    /// Whether this attempt at `version` was stored; `None` where that can no longer be told. No more attempts have been
    /// written down since then than there are later versions: writers of older builds write none. So an id that was
    /// written down is still there until that many have come after it.
    fn contains(&self, version: i32, attempt: i64) -> Option<bool> {
        if self.attempts.contains(&attempt) {
            return Some(true);
        }
        (self.version.saturating_sub(version) < KEPT_ATTEMPTS).then_some(false)
    }
}

fn explain_one(stored: Option<&StoredState>, job: Job) -> Option<Job> {
    let Some(stored) = stored else { return explain_missing(job) };
    // What certainly failed need not be looked for.
    let found = if job.unknown { stored.contains(job.row.version, job.row.attempt) } else { Some(false) };
    match (found, &stored.order) {
        (Some(true), _) => job.answer(Ok(Saved::Stored)),
        (None, _) => job.answer(Err(outcome_unknown(TraceLost::Overwritten))),
        (Some(false), Err(error)) => {
            let reason = runtime::telemetry::chain(error);
            job.answer(Err(refused(reason)));
        }
        // The row still has the version that this change was computed from, so somebody had it locked, or has touched it
        // without a new version.
        (Some(false), Ok(order)) if order.version() == job.row.version - 1 => return Some(job),
        (Some(false), Ok(order)) => job.answer(Ok(Saved::Superseded(Box::new(order.clone())))),
    }
    None
}

/// There is no such order: a new one may be tried again, a change may not.
fn explain_missing(job: Job) -> Option<Job> {
    match (job.row.version, job.unknown) {
        (1, _) => return Some(job),
        (_, true) => job.answer(Err(outcome_unknown(TraceLost::OrderGone))),
        (_, false) => job.answer(Err(refused(TraceLost::OrderGone))),
    }
    None
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

/// PostgreSQL refused the batch. Whose fault it is shows when each is tried alone.
fn refuse(mut batch: Vec<Job>, error: DieselError) -> Vec<Job> {
    use DatabaseErrorKind::{CheckViolation, NotNullViolation};
    // What may have been stored by an earlier attempt is not given up for the refusal of this one.
    if batch.len() > 1 || batch.iter().any(|job| job.unknown) {
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

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::Unavailable(error.into())
}

fn outcome_unknown(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::OutcomeUnknown(error.into())
}

fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::Refused(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_told_from_others_as_long_as_it_would_still_be_written_down() {
        let stored = |version, attempts: &[i64]| StoredState {
            order: Err(RowError::Status("x".parse::<shared_events::OrderStatus>().unwrap_err())),
            version,
            attempts: attempts.to_vec(),
        };
        for (name, version, attempts, expected) in [
            ("ours is the newest", 2, &[7, 1][..], Some(true)),
            ("another one took the step", 2, &[8, 1], Some(false)),
            ("a writer of an older build took it", 2, &[], Some(false)),
            ("ours was followed by others", 9, &[14, 13, 12, 11, 10, 9, 8, 7], Some(true)),
            ("it is not among as many as came since", 9, &[14, 13, 12, 11, 10, 9, 8, 6], Some(false)),
            ("it may have been pushed out", 10, &[15, 14, 13, 12, 11, 10, 9, 8], None),
        ] {
            assert_eq!(stored(version, attempts).contains(2, 7), expected, "{name}");
        }
    }
}
