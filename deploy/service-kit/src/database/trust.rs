//! Which sessions of a process are no longer to be used. All pools of the process share it: what spoils one session, such as
//! a changed column type, usually spoils all of the same age.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::WeakPool;

use super::Pool;
use super::connect::Connector;
use crate::overload::OncePerSecond;

/// The shortest time between two doubts of one process. A statement that always fails in a way that nobody knows raises a
/// doubt each time it is sent, and a doubt costs all idle connections of the process.
const BETWEEN_DOUBTS: Duration = Duration::from_secs(1);

/// Why sessions are discarded. Each reason has a log line of its own: one that comes often must not hide another.
pub(super) struct Reason {
    text: &'static str,
    line: OncePerSecond,
}

impl Reason {
    const fn new(text: &'static str) -> Self {
        Self { text, line: OncePerSecond::new() }
    }
}

static FAILED: Reason = Reason::new("a connection failed where a new one works");
pub(super) static READ_ONLY: Reason = Reason::new("the server has become read-only");
pub(super) static EXCHANGED: Reason = Reason::new("a pooler has exchanged the session");
pub(super) static OTHER_SERVER: Reason = Reason::new("a connection has come to another server");
pub(super) static SILENT: Reason = Reason::new("a connection is silent while a new one answers");
pub(super) static COLUMN_CHANGED: Reason = Reason::new("a column has changed");

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
    /// The last doubt, whether or not it has ended.
    last_doubt: Option<Instant>,
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

    /// A session failed at this moment, for a reason that may be its own. So soon after the last doubt it says nothing about
    /// other sessions: if they are spoilt as well, each is replaced when it fails.
    pub(super) fn doubt(&self, at: Instant) {
        let mut state = self.lock();
        if state.last_doubt.is_some_and(|last| at < last + BETWEEN_DOUBTS) {
            return;
        }
        state.doubt = Some(at);
        state.last_doubt = Some(at);
        self.in_doubt.store(true, Ordering::Release);
    }

    /// A session that was opened then works. If older ones were in doubt, they were at fault.
    pub(super) fn works(&self, opened: Instant) {
        if !self.in_doubt.load(Ordering::Acquire) {
            return;
        }
        let doubt = self.lock().doubt;
        if let Some(doubt) = doubt.filter(|doubt| *doubt <= opened) {
            self.discard_before(doubt, &FAILED);
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
    pub(super) fn discard_before(&self, at: Instant, reason: &Reason) {
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
        if let Some(times) = reason.line.count() {
            tracing::warn!(
                connections = discarded,
                reason = reason.text,
                times,
                "idle connections discarded"
            );
        }
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn there_is_one_doubt_a_second() {
        let (trust, start) = (Trust::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        trust.doubt(after(10));
        assert!(trust.is_doubtful(start));
        trust.works(after(20));
        assert!(trust.is_spoilt(start) && !trust.is_spoilt(after(20)));
        trust.doubt(after(1_009));
        assert!(!trust.is_doubtful(after(20)));
        trust.doubt(after(1_010));
        assert!(trust.is_doubtful(after(20)));
    }

    #[test]
    fn a_reason_that_comes_often_does_not_hide_another() {
        let (trust, often, seldom) = (Trust::default(), Reason::new("often"), Reason::new("seldom"));
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            (0..10).for_each(|_| trust.discard_before(Instant::now(), &often));
            trust.discard_before(Instant::now(), &seldom);
        });
        let text = log.text();
        assert_eq!((text.matches("often").count(), text.matches("seldom").count()), (1, 1), "{text}");
    }

    #[test]
    fn a_new_session_that_fails_too_ends_the_doubt() {
        let (trust, start) = (Trust::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        trust.doubt(after(10));
        trust.fails_too(after(20));
        trust.works(after(30));
        assert!(!trust.is_doubtful(start) && !trust.is_spoilt(start));
    }
}
