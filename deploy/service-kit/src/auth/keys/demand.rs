//! Decides when the key set is fetched for a token with an unknown key, and lets requests wait for a fetch.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The shortest time between two fetches for unknown keys, however many tokens name one.
pub(super) const ON_DEMAND_PAUSE: Duration = Duration::from_secs(30);

/// Connects requests that wait for a fetch with the task that fetches.
#[derive(Default)]
pub(super) struct Demand {
    gate: Mutex<Gate>,
    wanted: Notify,
    ended: watch::Sender<Ended>,
}

/// The fetches that have ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    count: u64,
    /// The last one gave no usable key.
    pub(super) has_failed: bool,
}

#[derive(Default)]
struct Gate {
    /// A fetch runs or was asked for.
    is_pending: bool,
    last_on_demand: Option<Instant>,
}

impl Demand {
    /// Joins the fetch that runs, or asks for one. `None` if none runs and the last one that was asked for is too
    /// recent. What is returned changes when the fetch ends.
    pub(super) fn join(&self) -> Option<watch::Receiver<Ended>> {
        let mut gate = self.gate();
        if !gate.is_pending {
            if gate.last_on_demand.is_some_and(|last| last.elapsed() < ON_DEMAND_PAUSE) {
                return None;
            }
            gate.last_on_demand = Some(Instant::now());
            gate.is_pending = true;
            self.wanted.notify_one();
        }
        // Under the lock, so that this fetch cannot end before.
        Some(self.ended.subscribe())
    }

    /// Completes when a fetch is asked for.
    pub(super) async fn wanted(&self) {
        loop {
            self.wanted.notified().await;
            // A fetch that began for another reason may have served the request meanwhile.
            if self.gate().is_pending {
                return;
            }
        }
    }

    /// A fetch begins.
    pub(super) fn begin(&self) {
        self.gate().is_pending = true;
    }

    /// A fetch has ended, and its keys are in use.
    pub(super) fn end(&self, has_failed: bool) {
        let mut gate = self.gate();
        gate.is_pending = false;
        self.ended.send_modify(|ended| *ended = Ended { count: ended.count.wrapping_add(1), has_failed });
    }

    /// Whether the last fetch gave no usable key.
    pub(super) fn has_failed(&self) -> bool {
        self.ended.borrow().has_failed
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // No code that holds the lock can panic.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
