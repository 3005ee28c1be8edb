//! Lines that are not written yet.

use std::io::{self, ErrorKind, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// A line that has waited for longer shows that nobody reads.
const STALLED: Duration = Duration::from_secs(1);

/// The writer waits that long for lines that follow the first one: all of them share one system call, and the threads
/// that add them need not wake it again.
const GATHER: Duration = Duration::from_millis(5);

/// What is dropped first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// May use an eighth of the queue.
    Lowest,
    /// May use half of the queue.
    Low,
    /// May use all of it.
    High,
}

/// How many lines were dropped, by what they are about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Requests.
    pub access: u64,
    /// Anything else.
    pub other: u64,
    /// Commands.
    pub records: u64,
}

impl Dropped {
    fn count(&mut self, priority: Priority) {
        let lines = match priority {
            Priority::Lowest => &mut self.access,
            Priority::Low => &mut self.other,
            Priority::High => &mut self.records,
        };
        *lines = lines.saturating_add(1);
    }
}

pub(super) struct Queue {
    capacity: usize,
    state: Mutex<State>,
    /// There are lines.
    filled: Condvar,
    /// A batch is written.
    written: Condvar,
    closed: CancellationToken,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Since when the first of `lines` waits.
    since: Option<Instant>,
    /// The bytes of the batch that is being written.
    writing: usize,
    writing_since: Option<Instant>,
    has_failed: bool,
    /// Lines for which there was no room, since the last line that said so.
    dropped: u64,
    /// All of them.
    dropped_so_far: Dropped,
    /// The writer must be woken.
    is_idle: bool,
}

impl State {
    fn size(&self) -> usize {
        self.lines.len().saturating_add(self.writing)
    }

    /// Since when the oldest line waits.
    fn oldest(&self) -> Option<Instant> {
        self.writing_since.or(self.since)
    }
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            closed: CancellationToken::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, priority: Priority) -> usize {
        match priority {
            Priority::Lowest => self.capacity / 8,
            Priority::Low => self.capacity / 2,
            Priority::High => self.capacity,
        }
    }

    /// Adds a line. If there is no room for it, it is counted instead.
    pub(super) fn push(&self, line: &[u8], priority: Priority) {
        let mut state = self.state();
        if state.size().saturating_add(line.len()) > self.room(priority) {
            state.dropped = state.dropped.saturating_add(1);
            state.dropped_so_far.count(priority);
            return;
        }
        state.since.get_or_insert_with(Instant::now);
        state.lines.extend_from_slice(line);
        let is_idle = std::mem::take(&mut state.is_idle);
        drop(state);
        if is_idle {
            self.filled.notify_one();
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        let state = self.state();
        state.has_failed
            || state.size() > self.room(Priority::Low)
            || state.oldest().is_some_and(|oldest| oldest.elapsed() > STALLED)
    }

    pub(super) fn dropped(&self) -> Dropped {
        self.state().dropped_so_far
    }

    /// All lines, as soon as there are any. They count until [`Self::wrote_all`].
    pub(super) fn take(&self) -> Vec<u8> {
        self.wait_for_lines();
        std::thread::sleep(GATHER);
        let mut state = self.state();
        state.writing = state.lines.len();
        state.writing_since = state.since.take();
        std::mem::take(&mut state.lines)
    }

    fn wait_for_lines(&self) {
        let mut state = self.state();
        while state.lines.is_empty() {
            state.is_idle = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The lines of the last [`Self::take`] are written.
    pub(super) fn wrote_all(&self) {
        let mut state = self.state();
        state.writing = 0;
        state.writing_since = None;
        state.has_failed = false;
        // Only if the line that says so has room.
        let has_room = state.size() <= self.capacity / 4;
        let dropped = if has_room { std::mem::take(&mut state.dropped) } else { 0 };
        drop(state);
        self.written.notify_all();
        if dropped > 0 {
            tracing::warn!(
                lines = dropped,
                "lines of the log were dropped: it could not be written fast enough"
            );
        }
    }

    /// A write has failed.
    pub(super) fn failed(&self, error: &io::Error) {
        let had_failed = std::mem::replace(&mut self.state().has_failed, true);
        if !had_failed {
            let _also_closed = writeln!(io::stderr(), "the log cannot be written: {error}");
        }
        if error.kind() == ErrorKind::BrokenPipe {
            self.closed.cancel();
        }
    }

    /// Waits until nobody can read what is written.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Waits until all lines are written, at most for `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let not_written = |state: &mut State| state.size() > 0 && !self.closed.is_cancelled();
        let _all_or_timed_out = self.written.wait_timeout_while(self.state(), limit, not_written);
    }
}
