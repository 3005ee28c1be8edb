//! When a cycle last completed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A projector in which no cycle has completed for this long is not ready.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// When a cycle last completed, shared by the workers that tell and the probe that asks.
#[derive(Clone)]
pub(crate) struct Pulse {
    last_cycle: Arc<Mutex<Option<Instant>>>,
}

/// No cycle has completed recently, or none yet.
#[derive(Debug)]
pub(crate) struct Stale;

impl Pulse {
    /// Nothing has completed yet.
    pub(crate) fn start() -> Self {
        Self { last_cycle: Arc::default() }
    }

    pub(crate) fn beat(&self) {
        *self.last_cycle.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn check(&self) -> Result<(), Stale> {
        let last = *self.last_cycle.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < STALE_AFTER) { Ok(()) } else { Err(Stale) }
    }
}
