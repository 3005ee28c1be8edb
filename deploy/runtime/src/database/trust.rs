//! Which sessions of a process are no longer to be used. All pools of the process share it: what spoils one session, such as
//! a changed column type, usually spoils all of the same age.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use deadpool::managed::WeakPool;

use super::Pool;
use super::connect::Connector;

/// What the pools of a process know about their sessions.
#[derive(Default)]
pub(super) struct Trust {
    state: Mutex<State>,
    /// Whether `state.doubt` is set, so that the usual success takes no lock.
    in_doubt: AtomicBool,
}

#[derive(Default)]
struct State {
    /// A session that was opened before this failed for a reason that may be its own. Whether it was shows on the next
    /// session that is opened after this.
    doubt: Option<Instant>,
    /// Sessions that were opened before this are closed rather than used.
    spoilt_before: Option<Instant>,
    pools: Vec<WeakPool<Connector>>,
}

impl Trust {
    pub(super) fn add_pool(&self, pool: &Pool) {
        let mut state = self.lock();
        state.pools.retain(|pool| pool.upgrade().is_some());
        state.pools.push(pool.weak());
    }

    /// Whether a session that was opened then must not be used.
    pub(super) fn is_spoilt(&self, opened: Instant) -> bool {
        self.lock().spoilt_before.is_some_and(|before| opened < before)
    }

    /// Whether a session that was opened then might fail although a new one would not.
    pub(super) fn is_doubtful(&self, opened: Instant) -> bool {
        self.in_doubt.load(Ordering::Acquire) && self.lock().doubt.is_some_and(|doubt| opened < doubt)
    }

    /// A session failed at this moment, for a reason that may be its own.
    pub(super) fn doubt(&self, at: Instant) {
        let mut state = self.lock();
        state.doubt = state.doubt.max(Some(at));
        self.in_doubt.store(true, Ordering::Release);
    }

    /// A session that was opened then works. If older ones were in doubt, they were at fault.
    pub(super) fn works(&self, opened: Instant) {
        if !self.in_doubt.load(Ordering::Acquire) {
            return;
        }
        let doubt = self.lock().doubt;
        if let Some(doubt) = doubt.filter(|doubt| *doubt <= opened) {
            self.discard_before(doubt, "a connection failed where a new one works");
        }
    }

    /// A session that was opened then fails as the older ones did, so that these were not at fault.
    pub(super) fn fails_too(&self, opened: Instant) {
        let mut state = self.lock();
        if state.doubt.is_some_and(|doubt| doubt <= opened) {
            self.end_doubt(&mut state);
        }
    }

    /// Closes all idle sessions that were opened before `at`, and the others as soon as they are given back.
    pub(super) fn discard_before(&self, at: Instant, reason: &'static str) {
        let pools: Vec<Pool> = {
            let mut state = self.lock();
            state.spoilt_before = state.spoilt_before.max(Some(at));
            if state.doubt.is_some_and(|doubt| doubt <= at) {
                self.end_doubt(&mut state);
            }
            state.pools.iter().filter_map(WeakPool::upgrade).collect()
        };
        let discarded: usize =
            pools.iter().map(|pool| pool.retain(|session, _| session.opened >= at).removed.len()).sum();
        tracing::warn!(connections = discarded, reason, "idle connections discarded");
    }

    fn end_doubt(&self, state: &mut State) {
        state.doubt = None;
        self.in_doubt.store(false, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
