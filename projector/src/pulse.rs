//! When a batch last completed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A projector in which no batch, of events or of none, has completed for this long, beyond the pauses between, is not ready.
const GRACE: Duration = Duration::from_secs(5);

/// When a batch last completed, shared by the workers that tell and the probe that asks.
#[derive(Clone)]
pub(crate) struct Pulse {
    last_batch: Arc<Mutex<Option<Instant>>>,
    stale_after: Duration,
}

/// No batch has completed recently, or none yet.
#[derive(Debug)]
pub(crate) struct Stale;

impl Pulse {
    /// Nothing has completed yet. An idle worker pauses for up to `longest_pause` between two batches.
    pub(crate) fn start(longest_pause: Duration) -> Self {
        Self { last_batch: Arc::default(), stale_after: GRACE + longest_pause }
    }

    pub(crate) fn beat(&self) {
        *self.last_batch.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn check(&self) -> Result<(), Stale> {
        let last = *self.last_batch.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < self.stale_after) { Ok(()) } else { Err(Stale) }
    }
}
