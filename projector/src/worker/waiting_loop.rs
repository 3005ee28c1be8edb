//! The loop that applies waiting events.

use std::time::{Duration, Instant};

use super::Worker;
use crate::batch::{BatchOutcome, Source};
use crate::pause;
use crate::waiting::TRIAL_BATCH;

/// Most waiting events in one batch, and how often events are claimed that another process has set aside.
const WAITING_BATCH_MAX: i64 = 1_000;
const WAITING_EVERY: Duration = Duration::from_millis(500);

/// A row locked for longer is probably not held by another worker. Then keep skipping locked rows.
const LOCKED_FOR_LONG: Duration = Duration::from_millis(100);

impl Worker {
    /// Applies waiting events soon after their locks end, until the stop signal.
    pub(crate) async fn apply_waiting(self) {
        let mut outage = pause::outage();
        let mut locked_since = None;
        loop {
            let start = Instant::now();
            let Some(outcome) = self.run_once(Source::Waiting, WAITING_BATCH_MAX).await else { return };
            let is_waiting = match outcome {
                // Something was applied, so try again at once. Start the lock timer anew: the remaining locks may be
                // new ones.
                Ok(BatchOutcome::Committed { applied, parked, .. }) if applied + parked > 0 => {
                    (outage, locked_since) = (pause::outage(), None);
                    continue;
                }
                Ok(BatchOutcome::Committed { .. }) => Ok(true),
                Ok(BatchOutcome::Empty) => self.runner.is_anything_waiting().await.map_err(drop),
                Err(_) => Err(()),
            };
            let took = start.elapsed();
            match is_waiting {
                Err(()) => self.pause(outage.next().unwrap_or_default()).await,
                Ok(false) => {
                    (outage, locked_since) = (pause::outage(), None);
                    self.pause_until_events_are_set_aside(WAITING_EVERY).await;
                    self.pause(pause::waiting(Duration::ZERO, Duration::ZERO)).await;
                }
                Ok(true) => {
                    outage = pause::outage();
                    let locked_for = locked_since.get_or_insert(start).elapsed();
                    if locked_for > LOCKED_FOR_LONG {
                        self.runner.keep_skipping_locked_rows();
                    }
                    let (min, max) = self.pauses(outcome.ok(), took, locked_for);
                    self.pause(min).await;
                    self.pause_until_events_are_set_aside(max.saturating_sub(min)).await;
                }
            }
        }
    }

    /// The shortest and the longest pause after a batch that applied nothing.
    fn pauses(
        &self,
        outcome: Option<BatchOutcome>,
        took: Duration,
        locked_for: Duration,
    ) -> (Duration, Duration) {
        let shortest = pause::waiting(Duration::ZERO, Duration::ZERO);
        match outcome {
            // A full trial claim: more untried events may follow. The batch mostly waited for locks, which costs no
            // processor time, so the pause is only a quarter of its time.
            Some(BatchOutcome::Committed { waiting, .. }) if waiting >= TRIAL_BATCH => (shortest, took / 4),
            Some(BatchOutcome::Committed { .. }) => (shortest, pause::waiting(locked_for, Duration::ZERO)),
            // The rest of the round follows soon; the longer pause is between rounds.
            _ if self.runner.is_waiting_round_unfinished() => {
                (pause::waiting(Duration::ZERO, took), Duration::ZERO)
            }
            _ => (pause::waiting(Duration::ZERO, took), pause::waiting(locked_for, took)),
        }
    }

    async fn pause_until_events_are_set_aside(&self, max: Duration) {
        let set_aside = tokio::time::timeout(max, self.runner.until_events_are_set_aside());
        self.stop.run_until_cancelled(set_aside).await;
    }
}
