//! What a process needs besides its successes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::NotReady;

/// What a process needs besides its successes, which do not replace it.
#[derive(Clone)]
pub struct Condition(Arc<Flag>);

struct Flag {
    is_met: AtomicBool,
    /// What is missing.
    reason: &'static str,
}

impl Condition {
    /// Records whether it is met now.
    pub fn set(&self, is_met: bool) {
        self.0.is_met.store(is_met, Ordering::Relaxed);
    }
}

/// All conditions of a process.
#[derive(Default)]
pub(super) struct Conditions(Mutex<Vec<Arc<Flag>>>);

impl Conditions {
    /// Adds one that is not met yet.
    pub(super) fn add(&self, reason: &'static str) -> Condition {
        let flag = Arc::new(Flag { is_met: AtomicBool::new(false), reason });
        self.all().push(Arc::clone(&flag));
        Condition(flag)
    }

    /// The reason of the first one that is not met.
    pub(super) fn check(&self) -> Result<(), NotReady> {
        let conditions = self.all();
        let unmet = conditions.iter().find(|condition| !condition.is_met.load(Ordering::Relaxed));
        unmet.map_or(Ok(()), |unmet| Err(NotReady(unmet.reason.into())))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Flag>>> {
        // No code that holds the lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
