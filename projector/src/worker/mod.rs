//! The loops that run batches: how often, how large, and what happens when the database fails.
//!
//! | File | Holds |
//! |---|---|
//! | `mod.rs` | the loops of the outbox and of the parked events |
//! | `waiting_loop` | the loop of the waiting events |
//! | `batch_size` | how many events one batch claims |

mod batch_size;
mod waiting_loop;

use std::sync::Arc;
use std::time::{Duration, Instant};

use service_kit::database::public_reason;
use service_kit::health::Health;
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;
use tokio_util::sync::CancellationToken;

pub(crate) use self::batch_size::BatchSize;
use crate::batch::{BatchError, BatchOutcome, BatchRunner, Source};
use crate::pause;

/// How often parked events that are due are claimed, and the most in one batch.
const PARKED_EVERY: Duration = Duration::from_secs(1);
const PARKED_BATCH_MAX: i64 = 100;

/// How long the batch in flight may take after the stop signal. Then it is rolled back, which loses nothing.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// What the loops of a process share.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) runner: Arc<BatchRunner>,
    pub(crate) health: Health,
    pub(crate) stop: CancellationToken,
}

/// All workers fail at once in an outage.
static FAILED: OncePerSecond = OncePerSecond::new();

impl Worker {
    /// Drains the outbox until the stop signal. It polls less and less often while the outbox is empty.
    pub(crate) async fn drain_outbox(self, batch_max: i64, poll_max: Duration) {
        let busy = |events, is_full, took| pause::busy(events, is_full, took, poll_max);
        self.run(Source::Outbox, batch_max, busy, |idle_for| pause::idle(idle_for, poll_max)).await;
    }

    /// Tries parked events again when they are due, until the stop signal.
    pub(crate) async fn retry_parked(self) {
        let no_pause = |_events, _is_full, _took| Duration::ZERO;
        self.run(Source::Parked, PARKED_BATCH_MAX, no_pause, |_idle_for| PARKED_EVERY).await;
    }

    /// Runs batch after batch. After each it pauses: `busy_pause` of the events, whether the batch was full, and how
    /// long it took; `idle_pause` of the time since the last event; or a growing pause while the database fails.
    async fn run(
        self,
        source: Source,
        batch_max: i64,
        busy_pause: impl Fn(usize, bool, Duration) -> Duration,
        idle_pause: impl Fn(Duration) -> Duration,
    ) {
        let mut size = BatchSize::new(batch_max);
        let mut outage = pause::outage();
        let mut last_event = Instant::now();
        loop {
            let start = Instant::now();
            let limit = self.runner.batch_limit(source, size.get());
            let Some(outcome) = self.run_once(source, size.get()).await else { return };
            let pause = match outcome {
                Ok(BatchOutcome::Committed { applied, parked, waiting }) => {
                    let (events, took) = (applied + parked + waiting, start.elapsed());
                    // The limit may be below the size while many events are refused.
                    let is_full = size.committed(events, waiting, took)
                        || i64::try_from(events).is_ok_and(|events| events >= limit);
                    last_event = Instant::now();
                    busy_pause(events, is_full, took)
                }
                Ok(BatchOutcome::Empty) => idle_pause(last_event.elapsed()),
                Err(ref error) => {
                    if source == Source::Outbox {
                        self.health.failed(public_reason(error));
                    }
                    size.failed();
                    outage.next().unwrap_or_default()
                }
            };
            if outcome.is_ok() {
                outage = pause::outage();
                // Only the outbox counts for readiness.
                if source == Source::Outbox {
                    self.health.succeeded();
                }
            }
            self.pause(pause).await;
        }
    }

    /// Runs one batch; none after the stop signal.
    async fn run_once(&self, source: Source, limit: i64) -> Option<Result<BatchOutcome, BatchError>> {
        if self.stop.is_cancelled() {
            return None;
        }
        let stop_limit = async {
            self.stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        let outcome = tokio::select! {
            outcome = self.runner.run_once(source, limit) => outcome,
            () = stop_limit => {
                tracing::warn!("stopped while a batch was in flight; it is rolled back, and its events stay");
                return None;
            }
        };
        if let Err(error) = &outcome
            && let Some(times) = FAILED.count()
        {
            tracing::warn!(times, error = chain(error), "batch failed; its events stay where they are");
        }
        Some(outcome)
    }

    async fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }
}
