//! The loops around the drain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::telemetry::chain;
use tokio_util::sync::CancellationToken;

use crate::batch_size::BatchSize;
use crate::drain::{BatchOutcome, Drain, DrainError, Source};
use crate::pulse::Pulse;
use crate::retry;

/// How often parked events that are due are looked for, and how many are tried in one batch at most.
const PARKED_EVERY: Duration = Duration::from_secs(1);
const PARKED_BATCH_MAX: i64 = 100;

/// How long the batch in flight may take once the process is told to stop. Then it is rolled back, which loses nothing.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// What the loops of a process share.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) drain: Arc<Drain>,
    pub(crate) pulse: Pulse,
    pub(crate) stop: CancellationToken,
}

impl Worker {
    /// Drains the outbox until told to stop: at once while there is work, less and less often while there is none, and
    /// with growing pauses while the database does not work.
    pub(crate) async fn drain_outbox(self, batch_max: i64, longest_pause: Duration) {
        let mut size = BatchSize::up_to(batch_max);
        let mut outage = retry::outage();
        let mut last_event = Instant::now();
        loop {
            let start = Instant::now();
            let Some(outcome) = self.run_once(Source::Outbox, size.get()).await else { return };
            let pause = match outcome {
                Ok(BatchOutcome::Drained { applied, parked }) => {
                    size.drained(applied + parked, start.elapsed());
                    last_event = Instant::now();
                    Duration::ZERO
                }
                Ok(BatchOutcome::Empty) => retry::idle(last_event.elapsed(), longest_pause),
                Err(_) => {
                    size.failed();
                    outage.next().unwrap_or(longest_pause)
                }
            };
            if outcome.is_ok() {
                self.pulse.beat();
                outage = retry::outage();
            }
            self.pause(pause).await;
        }
    }

    /// Tries parked events again when they are due, until told to stop.
    pub(crate) async fn retry_parked(self) {
        let mut size = BatchSize::up_to(PARKED_BATCH_MAX);
        let mut outage = retry::outage();
        loop {
            let start = Instant::now();
            let Some(outcome) = self.run_once(Source::Parked, size.get()).await else { return };
            let pause = match outcome {
                Ok(BatchOutcome::Drained { applied, parked }) => {
                    size.drained(applied + parked, start.elapsed());
                    Duration::ZERO
                }
                Ok(BatchOutcome::Empty) => PARKED_EVERY,
                Err(_) => {
                    size.failed();
                    outage.next().unwrap_or(PARKED_EVERY)
                }
            };
            if outcome.is_ok() {
                outage = retry::outage();
            }
            self.pause(pause).await;
        }
    }

    /// One batch; nothing once the process is told to stop.
    async fn run_once(&self, source: Source, limit: i64) -> Option<Result<BatchOutcome, DrainError>> {
        if self.stop.is_cancelled() {
            return None;
        }
        let give_up = async {
            self.stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        let outcome = tokio::select! {
            outcome = self.drain.run_once(source, limit) => outcome,
            () = give_up => {
                tracing::warn!("the batch in flight took too long to stop for, and was given up; its events stay");
                return None;
            }
        };
        if let Err(error) = &outcome {
            tracing::warn!(error = chain(error), "batch failed; its events stay where they are");
        }
        Some(outcome)
    }

    async fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }
}
