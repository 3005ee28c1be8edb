//! The loops around the drain.

mod batch_size;
mod pause;

use std::sync::Arc;
use std::time::{Duration, Instant};

use service_kit::health::Health;
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;
use tokio_util::sync::CancellationToken;

use self::batch_size::BatchSize;
use crate::batch::{BatchOutcome, Drain, DrainError, PROBE_BATCH, Source};

/// How often parked events that are due are looked for, and how many are tried in one batch at most.
const PARKED_EVERY: Duration = Duration::from_secs(1);
const PARKED_BATCH_MAX: i64 = 100;

/// How many waiting events are tried in one batch at most, and how often it is looked whether another process left some behind.
const WAITING_BATCH_MAX: i64 = 1_000;
const WAITING_EVERY: Duration = Duration::from_millis(500);

/// A row that is locked for longer than this is not just in the hands of another worker.
const LOCKED_FOR_LONG: Duration = Duration::from_millis(100);

/// How long the batch in flight may take once the process is told to stop. Then it is rolled back, which loses nothing.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// What the loops of a process share.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) drain: Arc<Drain>,
    pub(crate) health: Health,
    pub(crate) stop: CancellationToken,
}

/// All workers fail at once in an outage.
static FAILED: OncePerSecond = OncePerSecond::new();

impl Worker {
    /// Drains the outbox until told to stop: less and less often while there is nothing in it.
    pub(crate) async fn drain_outbox(self, batch_max: i64, longest_pause: Duration) {
        let busy = |events, is_full, took| pause::busy(events, is_full, took, longest_pause);
        self.run(Source::Outbox, batch_max, busy, |idle_for| pause::idle(idle_for, longest_pause)).await;
    }

    /// Tries parked events again when they are due, until told to stop.
    pub(crate) async fn retry_parked(self) {
        let at_once = |_events, _is_full, _took| Duration::ZERO;
        self.run(Source::Parked, PARKED_BATCH_MAX, at_once, |_idle_for| PARKED_EVERY).await;
    }

    /// Applies events whose rows were locked, soon after the locks end, until told to stop.
    pub(crate) async fn apply_waiting(self) {
        let mut outage = pause::outage();
        let mut locked_since = None;
        loop {
            let start = Instant::now();
            let Some(outcome) = self.run_once(Source::Waiting, WAITING_BATCH_MAX).await else { return };
            let is_waiting = match outcome {
                // There may be more that are free. What is locked now may not have been before.
                Ok(BatchOutcome::Drained { applied, parked, .. }) if applied + parked > 0 => {
                    (outage, locked_since) = (pause::outage(), None);
                    continue;
                }
                Ok(BatchOutcome::Drained { .. }) => Ok(true),
                Ok(BatchOutcome::Empty) => self.drain.is_anything_waiting().await.map_err(drop),
                Err(_) => Err(()),
            };
            let took = start.elapsed();
            match is_waiting {
                Err(()) => self.pause(outage.next().unwrap_or_default()).await,
                Ok(false) => {
                    (outage, locked_since) = (pause::outage(), None);
                    self.pause_until_set_aside(WAITING_EVERY).await;
                    self.pause(pause::waiting(Duration::ZERO, Duration::ZERO)).await;
                }
                Ok(true) => {
                    outage = pause::outage();
                    let locked_for = locked_since.get_or_insert(start).elapsed();
                    if locked_for > LOCKED_FOR_LONG {
                        self.drain.rows_are_still_locked();
                    }
                    let shortest = pause::waiting(Duration::ZERO, Duration::ZERO);
                    let (least, most) = match outcome {
                        // Most of it was waiting for locks, which costs nobody anything. After a full one others have their turn.
                        Ok(BatchOutcome::Drained { waiting, .. }) if waiting >= PROBE_BATCH => {
                            (shortest, took / 4)
                        }
                        Ok(BatchOutcome::Drained { .. }) => {
                            (shortest, pause::waiting(locked_for, Duration::ZERO))
                        }
                        // The rest of the round comes soon; the longer pause is between rounds.
                        _ if self.drain.is_waiting_round_unfinished() => {
                            (pause::waiting(Duration::ZERO, took), Duration::ZERO)
                        }
                        _ => (pause::waiting(Duration::ZERO, took), pause::waiting(locked_for, took)),
                    };
                    self.pause(least).await;
                    self.pause_until_set_aside(most.saturating_sub(least)).await;
                }
            }
        }
    }

    async fn pause_until_set_aside(&self, longest: Duration) {
        let set_aside = tokio::time::timeout(longest, self.drain.until_set_aside());
        self.stop.run_until_cancelled(set_aside).await;
    }

    /// Batch after batch, with pauses as `busy_pause` says for the events in one, whether it was full and how long it took, as
    /// `idle_pause` says for how long nothing has come, and with growing ones while the database does not work.
    async fn run(
        self,
        source: Source,
        batch_max: i64,
        busy_pause: impl Fn(usize, bool, Duration) -> Duration,
        idle_pause: impl Fn(Duration) -> Duration,
    ) {
        let mut size = BatchSize::up_to(batch_max);
        let mut outage = pause::outage();
        let mut last_event = Instant::now();
        loop {
            let start = Instant::now();
            let limit = self.drain.batch_limit(source, size.get());
            let Some(outcome) = self.run_once(source, size.get()).await else { return };
            let pause = match outcome {
                Ok(BatchOutcome::Drained { applied, parked, waiting }) => {
                    let (events, took) = (applied + parked + waiting, start.elapsed());
                    // The limit may be below the size while many events are refused.
                    let is_full = size.drained(events, waiting, took)
                        || i64::try_from(events).is_ok_and(|events| events >= limit);
                    last_event = Instant::now();
                    busy_pause(events, is_full, took)
                }
                Ok(BatchOutcome::Empty) => idle_pause(last_event.elapsed()),
                Err(_) => {
                    size.failed();
                    outage.next().unwrap_or_default()
                }
            };
            if outcome.is_ok() {
                outage = pause::outage();
                // Readiness is about the outbox.
                if source == Source::Outbox {
                    self.health.succeeded();
                }
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
