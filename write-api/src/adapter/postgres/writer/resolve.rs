//! Finds out what became of writes that a batch did not store, or may have stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use service_kit::database::Database;
use service_kit::overload::OncePerSecond;

use super::super::row::{RowError, TracedRow};
use super::super::schema::orders;
use super::batch::Attempt;
use super::pending_write::PendingWrite;
use super::{outcome_unknown, refused, unavailable};
use crate::domain::Order;
use crate::port::Saved;

/// A row keeps the ids of the attempts that made this many of its latest versions; see `save_batch.sql`.
const KEPT_ATTEMPTS: i32 = 8;

/// The deadline passed before a write could be stored, or before its outcome was known.
#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed")]
struct DeadlinePassed;

/// What is stored no longer shows what became of a write.
#[derive(Debug, thiserror::Error)]
enum TraceLost {
    #[error("the order has changed too often since then")]
    Overwritten,
    #[error("the order is gone")]
    OrderGone,
}

/// Resolves writes over connections of its own: a slow one must not delay a commit.
pub(super) struct Resolver {
    database: Database,
}

impl Resolver {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Replies to writes by what is stored, in one lookup for all. The others are retried alone.
    pub(super) async fn resolve_all(self: Arc<Self>, writes: Vec<PendingWrite>) {
        for write in self.look_up(writes).await {
            tokio::spawn(Arc::clone(&self).retry_alone(write));
        }
    }

    /// Retries a write alone, with growing pauses, until it has a reply or its deadline has passed. After each attempt it looks up
    /// what is stored: that works even where nothing can be stored any more.
    async fn retry_alone(self: Arc<Self>, mut write: PendingWrite) {
        let mut pauses = pauses();
        while Instant::now() < write.deadline {
            let unresolved = Attempt::execute(&self.database, vec![write]).await.reply();
            let Some(unresolved) = self.look_up(unresolved).await.pop() else { return };
            write = unresolved;
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
        let outcome =
            if write.outcome_unknown { outcome_unknown(DeadlinePassed) } else { unavailable(DeadlinePassed) };
        write.reply(Err(outcome));
    }

    /// Replies to writes by what is stored under their orders' ids. The undecided ones are returned.
    async fn look_up(&self, writes: Vec<PendingWrite>) -> Vec<PendingWrite> {
        if writes.is_empty() {
            return writes;
        }
        let ids: Vec<_> = writes.iter().map(|write| write.row.order_id).collect();
        let look_up = self.database.read(|connection| {
            let query = orders::table.filter(orders::order_id.eq_any(ids.clone()));
            query.select(TracedRow::as_select()).load::<TracedRow>(connection).boxed()
        });
        let rows = match look_up.await {
            Ok(rows) => rows,
            Err(error) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    let error = service_kit::telemetry::chain(&error);
                    tracing::warn!(times, error, "cannot look up what is stored");
                }
                return writes;
            }
        };
        let stored: HashMap<_, _> =
            rows.into_iter().map(|row| (row.order.order_id(), StoredState::from(row))).collect();
        writes.into_iter().filter_map(|write| resolve(stored.get(&write.row.order_id), write)).collect()
    }
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
    /// Whether this attempt at `version` was stored; `None` where the row no longer shows it. Each later version has recorded one
    /// attempt at most (writers of older builds record none), so a recorded attempt stays until [`KEPT_ATTEMPTS`] later versions.
    fn contains(&self, version: i32, attempt: i64) -> Option<bool> {
        if self.attempts.contains(&attempt) {
            return Some(true);
        }
        (self.version.saturating_sub(version) < KEPT_ATTEMPTS).then_some(false)
    }
}

fn resolve(stored: Option<&StoredState>, write: PendingWrite) -> Option<PendingWrite> {
    let Some(stored) = stored else { return resolve_missing(write) };
    // A write that certainly failed is not among the attempts.
    let found = if write.outcome_unknown {
        stored.contains(write.row.version, write.row.attempt)
    } else {
        Some(false)
    };
    match (found, &stored.order) {
        (Some(true), _) => write.reply(Ok(Saved::Stored)),
        (None, _) => write.reply(Err(outcome_unknown(TraceLost::Overwritten))),
        (Some(false), Err(error)) => {
            let reason = service_kit::telemetry::chain(error);
            write.reply(Err(refused(reason)));
        }
        // The row still has the version that this change was computed from: another session had it locked, or has written to it
        // without a new version.
        (Some(false), Ok(order)) if order.version() == write.row.version - 1 => return Some(write),
        (Some(false), Ok(order)) => write.reply(Ok(Saved::Superseded(Box::new(order.clone())))),
    }
    None
}

/// There is no such order: a new one may be tried again, a change may not.
fn resolve_missing(write: PendingWrite) -> Option<PendingWrite> {
    match (write.row.version, write.outcome_unknown) {
        (1, _) => return Some(write),
        (_, true) => write.reply(Err(outcome_unknown(TraceLost::OrderGone))),
        (_, false) => write.reply(Err(refused(TraceLost::OrderGone))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_found_as_long_as_the_row_would_still_record_it() {
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
