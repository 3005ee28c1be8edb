//! Which sessions of a process may still be used. All pools of the process share this: a cause that breaks one session,
//! such as a changed column type, usually breaks all sessions of the same age.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::WeakPool;

use super::Pool;
use super::connect::Connector;
use crate::overload::OncePerSecond;

/// Shortest time between two suspicions. A statement that always fails for an unknown reason would otherwise discard
/// all idle connections of the process each time it runs.
const BETWEEN_SUSPICIONS: Duration = Duration::from_secs(1);

/// Why sessions are discarded. Each reason has its own rate limit in the log: a frequent one must not hide another.
pub(super) struct Reason {
    text: &'static str,
    line: OncePerSecond,
}

impl Reason {
    const fn new(text: &'static str) -> Self {
        Self { text, line: OncePerSecond::new() }
    }
}

static FAILED: Reason = Reason::new("a connection failed, and a new one works");
pub(super) static READ_ONLY: Reason = Reason::new("the server has become read-only");
pub(super) static EXCHANGED: Reason = Reason::new("a pooler gave the connection another session");
pub(super) static OTHER_SERVER: Reason = Reason::new("the connection leads to another server");
pub(super) static SILENT: Reason = Reason::new("a connection does not respond, and a new one does");
pub(super) static WRONG_NODE: Reason = Reason::new("another node of Citus owns the schema");
pub(super) static COLUMN_CHANGED: Reason = Reason::new("a column changed");

/// What is known about the sessions of all pools of a process.
#[derive(Default)]
pub(super) struct Validity {
    state: Mutex<State>,
    /// Whether `state.suspect_before` is set. Without a suspicion, a success takes no lock.
    has_suspicion: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Sessions opened before this time are suspect: one of them failed. The first session opened later decides: if it
    /// works, they are closed; if it fails too, they are kept.
    suspect_before: Option<Instant>,
    /// The last suspicion, confirmed or not.
    last_suspicion: Option<Instant>,
    /// Sessions opened before this are closed instead of used.
    invalid_before: Option<Instant>,
    pools: Vec<WeakPool<Connector>>,
}

impl Validity {
    pub(super) fn add_pool(&self, pool: &Pool) {
        let mut state = self.lock();
        state.pools.retain(|pool| pool.upgrade().is_some());
        state.pools.push(pool.weak());
    }

    /// Whether a session opened at this time must not be used.
    pub(super) fn is_invalid(&self, opened: Instant) -> bool {
        self.lock().invalid_before.is_some_and(|before| opened < before)
    }

    /// Whether a session opened at this time may fail although a new one would not.
    pub(super) fn is_suspect(&self, opened: Instant) -> bool {
        self.has_suspicion.load(Ordering::Acquire)
            && self.lock().suspect_before.is_some_and(|suspect_before| opened < suspect_before)
    }

    /// Suspects all sessions opened before `at`, because one of them failed. Soon after the last suspicion this does
    /// nothing: each broken session is then replaced when it fails.
    pub(super) fn suspect(&self, at: Instant) {
        let mut state = self.lock();
        if state.last_suspicion.is_some_and(|last| at < last + BETWEEN_SUSPICIONS) {
            return;
        }
        state.suspect_before = Some(at);
        state.last_suspicion = Some(at);
        self.has_suspicion.store(true, Ordering::Release);
    }

    /// A session opened at this time works. Suspected older sessions are therefore broken.
    pub(super) fn record_success(&self, opened: Instant) {
        if !self.has_suspicion.load(Ordering::Acquire) {
            return;
        }
        let suspect_before = self.lock().suspect_before;
        if let Some(suspect_before) = suspect_before.filter(|suspect_before| *suspect_before <= opened) {
            self.invalidate_before(suspect_before, &FAILED);
        }
    }

    /// A session opened at this time fails too. Suspected older sessions are therefore fine.
    pub(super) fn record_same_failure(&self, opened: Instant) {
        let mut state = self.lock();
        if state.suspect_before.is_some_and(|suspect_before| suspect_before <= opened) {
            self.end_suspicion(&mut state);
        }
    }

    /// Closes all idle sessions opened before `at`, and the busy ones when they return to the pool.
    pub(super) fn invalidate_before(&self, at: Instant, reason: &Reason) {
        let pools: Vec<Pool> = {
            let mut state = self.lock();
            state.invalid_before = state.invalid_before.max(Some(at));
            if state.suspect_before.is_some_and(|suspect_before| suspect_before <= at) {
                self.end_suspicion(&mut state);
            }
            state.pools.iter().filter_map(WeakPool::upgrade).collect()
        };
        let discarded: usize =
            pools.iter().map(|pool| pool.retain(|session, _| session.opened >= at).removed.len()).sum();
        if let Some(times) = reason.line.count() {
            tracing::warn!(
                connections = discarded,
                reason = reason.text,
                times,
                "idle connections discarded"
            );
        }
    }

    fn end_suspicion(&self, state: &mut State) {
        state.suspect_before = None;
        self.has_suspicion.store(false, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Validity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Validity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::Log;

    #[test]
    fn there_is_at_most_one_suspicion_a_second() {
        let (validity, start) = (Validity::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        validity.suspect(after(10));
        assert!(validity.is_suspect(start));
        validity.record_success(after(20));
        assert!(validity.is_invalid(start) && !validity.is_invalid(after(20)));
        validity.suspect(after(1_009));
        assert!(!validity.is_suspect(after(20)));
        validity.suspect(after(1_010));
        assert!(validity.is_suspect(after(20)));
    }

    #[test]
    fn a_frequent_reason_does_not_hide_another() {
        let (validity, often, seldom) = (Validity::default(), Reason::new("often"), Reason::new("seldom"));
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            (0..10).for_each(|_| validity.invalidate_before(Instant::now(), &often));
            validity.invalidate_before(Instant::now(), &seldom);
        });
        let text = log.text();
        assert_eq!((text.matches("often").count(), text.matches("seldom").count()), (1, 1), "{text}");
    }

    #[test]
    fn a_new_session_that_fails_too_ends_the_suspicion() {
        let (validity, start) = (Validity::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        validity.suspect(after(10));
        validity.record_same_failure(after(20));
        validity.record_success(after(30));
        assert!(!validity.is_suspect(start) && !validity.is_invalid(start));
    }
}
