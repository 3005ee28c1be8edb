//! Finds the outcome of writes that a batch did not store, or may have stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use service_kit::database::Database;
use service_kit::overload::OncePerSecond;

use super::super::row::{RowError, RowWithAttempts};
use super::batch::ExecutedBatch;
use super::find::LookUp;
use super::pending_write::PendingWrite;
use super::{outcome_unknown, refused, unavailable};
use crate::domain::Order;
use crate::port::SaveResult;

/// A row records the attempts of this many of its latest versions; see `save_batch_1.sql`.
const KEPT_ATTEMPTS: i32 = 8;

/// The deadline passed before a write could be stored, or before its outcome was known.
#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed")]
struct DeadlinePassed;

/// The stored row no longer shows the outcome of a write.
#[derive(Debug, thiserror::Error)]
enum OutcomeLost {
    #[error("the order has changed too often since the write")]
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

    /// Looks up the stored rows once and replies to the writes whose outcome they show. The other writes are retried
    /// alone.
    pub(super) async fn resolve_all(self: Arc<Self>, writes: Vec<PendingWrite>) {
        for write in self.look_up(writes).await {
            tokio::spawn(Arc::clone(&self).retry_alone(write));
        }
    }

    /// Retries a write alone, with growing pauses, until it has a reply or its deadline passes. Each attempt is
    /// followed by a lookup, which works even on a read-only server.
    async fn retry_alone(self: Arc<Self>, mut write: PendingWrite) {
        let mut pauses = pauses();
        while Instant::now() < write.deadline {
            let unresolved = ExecutedBatch::execute(&self.database, vec![write]).await.reply();
            let Some(unresolved) = self.look_up(unresolved).await.pop() else { return };
            write = unresolved;
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
        let outcome =
            if write.outcome_unknown { outcome_unknown(DeadlinePassed) } else { unavailable(DeadlinePassed) };
        write.reply(Err(outcome));
    }

    /// Replies to the writes whose outcome the stored rows show. The others are returned.
    async fn look_up(&self, writes: Vec<PendingWrite>) -> Vec<PendingWrite> {
        if writes.is_empty() {
            return writes;
        }
        let order_ids: Vec<_> = writes.iter().map(|write| write.row.order_id).collect();
        let look_up = self.database.read(|connection| {
            let query = LookUp { order_ids: order_ids.clone() };
            RunQueryDsl::load::<RowWithAttempts>(query, connection).boxed()
        });
        let rows = match look_up.await {
            Ok(rows) => rows,
            Err(error) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    let error = service_kit::telemetry::chain(&error);
                    tracing::warn!(times, error, "cannot look up the outcome of writes");
                }
                return writes;
            }
        };
        let stored: HashMap<_, _> =
            rows.into_iter().map(|row| (row.order.order_id(), StoredState::from(row))).collect();
        writes.into_iter().filter_map(|write| resolve(stored.get(&write.row.order_id), write)).collect()
    }
}

/// The stored row of an order.
struct StoredState {
    order: Result<Order, RowError>,
    version: i32,
    attempt_ids: Vec<i64>,
}

impl From<RowWithAttempts> for StoredState {
    fn from(RowWithAttempts { order, write_attempts }: RowWithAttempts) -> Self {
        Self {
            version: order.version(),
            order: order.try_into(),
            attempt_ids: write_attempts.unwrap_or_default().into_iter().flatten().collect(),
        }
    }
}

impl StoredState {
    /// Whether this attempt at `version` was stored, or `None` if the row no longer shows it. Each later version
    /// records one attempt at most (writers of older builds record none), so an attempt stays recorded until
    /// [`KEPT_ATTEMPTS`] versions later.
    fn contains(&self, version: i32, attempt_id: i64) -> Option<bool> {
        if self.attempt_ids.contains(&attempt_id) {
            return Some(true);
        }
        (self.version.saturating_sub(version) < KEPT_ATTEMPTS).then_some(false)
    }
}

fn resolve(stored: Option<&StoredState>, write: PendingWrite) -> Option<PendingWrite> {
    let Some(stored) = stored else { return resolve_missing(write) };
    // A write that is known to have failed is not among the attempts.
    let found = if write.outcome_unknown {
        stored.contains(write.row.version, write.row.attempt_id)
    } else {
        Some(false)
    };
    match (found, &stored.order) {
        (Some(true), _) => write.reply(Ok(SaveResult::Stored)),
        (None, _) => write.reply(Err(outcome_unknown(OutcomeLost::Overwritten))),
        (Some(false), Err(error)) => {
            let reason = service_kit::telemetry::chain(error);
            write.reply(Err(refused(reason)));
        }
        // The row still has the version that the change was computed from: another session had locked it, or has
        // updated it without a new version.
        (Some(false), Ok(order)) if order.version() == write.row.version - 1 => return Some(write),
        (Some(false), Ok(order)) => write.reply(Ok(SaveResult::Conflict(Box::new(order.clone())))),
    }
    None
}

/// No such order is stored: placing it may be retried, a change may not.
fn resolve_missing(write: PendingWrite) -> Option<PendingWrite> {
    match (write.row.version, write.outcome_unknown) {
        (1, _) => return Some(write),
        (_, true) => write.reply(Err(outcome_unknown(OutcomeLost::OrderGone))),
        (_, false) => write.reply(Err(refused(OutcomeLost::OrderGone))),
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
    fn the_statement_keeps_as_many_attempts_as_the_resolver_expects() {
        let kept = format!("(step.attempt_id || known.write_attempts)[1:{KEPT_ATTEMPTS}]");
        assert!(include_str!("save_batch_1.sql").contains(&kept), "{kept}");
    }

    #[test]
    fn an_attempt_is_found_while_the_row_still_records_it() {
        let stored = |version, attempt_ids: &[i64]| StoredState {
            order: Err(RowError::Status("x".parse::<shared_events::OrderStatus>().unwrap_err())),
            version,
            attempt_ids: attempt_ids.to_vec(),
        };
        for (name, version, attempt_ids, expected) in [
            ("our attempt is the newest", 2, &[7, 1][..], Some(true)),
            ("another attempt took the step", 2, &[8, 1], Some(false)),
            ("a writer of an older build took the step", 2, &[], Some(false)),
            ("later attempts followed ours", 9, &[14, 13, 12, 11, 10, 9, 8, 7], Some(true)),
            ("all later attempts are recorded, ours is not", 9, &[14, 13, 12, 11, 10, 9, 8, 6], Some(false)),
            ("ours may have been pushed out", 10, &[15, 14, 13, 12, 11, 10, 9, 8], None),
        ] {
            assert_eq!(stored(version, attempt_ids).contains(2, 7), expected, "{name}");
        }
    }
}
