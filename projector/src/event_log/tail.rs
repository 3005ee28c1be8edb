//! What the readers of a process share: one poller, and the hole at which they wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::OptionalExtension;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};
use service_kit::overload::OncePerSecond;
use service_kit::statement;
use service_kit::telemetry::chain;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::hole_watch::Hole;
use crate::pause;

/// What the readers of one process share. Clones are the same.
#[derive(Clone)]
pub struct EventLog {
    newest: watch::Sender<i64>,
    committed: Arc<Notify>,
    hole: Arc<Hole>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { newest: watch::Sender::new(0), committed: Arc::default(), hole: Arc::default() }
    }
}

impl EventLog {
    /// Returns once the log has events after `position`, or after `at_most`.
    pub async fn until_newer_than(&self, position: i64, at_most: Duration) {
        let mut newest = self.newest.subscribe();
        // The sender lives as long as `self`.
        let _waited = timeout(at_most, newest.wait_for(|newest| *newest > position)).await;
    }

    /// The newest position that is known; 0 before the first poll and while the log is empty.
    pub(crate) fn newest(&self) -> i64 {
        *self.newest.borrow()
    }

    /// A reader waits at the hole that begins at `position`. How far ids are settled is then published soon.
    pub fn report_hole(&self, position: i64) {
        self.hole.report(position);
    }

    /// This process has committed events that left the outbox.
    pub(crate) fn committed(&self) {
        self.committed.notify_one();
    }

    pub(super) fn hole(&self) -> &Hole {
        &self.hole
    }

    /// Polls the newest position until the stop signal: soon after this process has committed events, and else less
    /// and less often while nothing is logged.
    pub(crate) async fn follow(self, database: Database, poll_max: Duration, stop: CancellationToken) {
        stop.run_until_cancelled(self.poll(&database, poll_max)).await;
    }

    async fn poll(&self, database: &Database, poll_max: Duration) {
        static FAILED: OncePerSecond = OncePerSecond::new();
        let mut outage = pause::outage();
        let mut last_event = Instant::now();
        loop {
            let pause = match newest_position(database).await {
                Ok(position) => {
                    outage = pause::outage();
                    // It goes back when the last partition is dropped, or after a failover.
                    let is_new = |newest: &mut i64| std::mem::replace(newest, position) != position;
                    if self.newest.send_if_modified(is_new) {
                        last_event = Instant::now();
                    }
                    pause::idle(last_event.elapsed(), poll_max)
                }
                Err(error) => {
                    if let Some(times) = FAILED.count() {
                        tracing::warn!(times, error = chain(&error), "the event log cannot be polled");
                    }
                    outage.next().unwrap_or_default()
                }
            };
            let _committed = timeout(pause, self.committed.notified()).await;
        }
    }
}

/// The newest position in the log; 0 if it is empty.
async fn newest_position(database: &Database) -> Result<i64, DatabaseError> {
    let newest = database.run(|connection| {
        async move { RunQueryDsl::get_result::<i64>(NewestPosition {}, connection).await.optional() }.boxed()
    });
    Ok(newest.await?.unwrap_or_default())
}

statement! {
    struct NewestPosition = "newest_position.sql" -> BigInt {}
}
