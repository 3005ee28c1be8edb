//! Limits repeated log lines: at most one a second, with a count.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Milliseconds between two lines.
const PAUSE_MS: u64 = 1_000;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A limiter of log lines, not of requests: counts events and decides when to log them. Keep it in a `static`.
#[derive(Debug, Default)]
pub struct OncePerSecond {
    /// When the next line is due, in milliseconds.
    next: AtomicU64,
    count: AtomicU64,
}

impl OncePerSecond {
    /// A counter without events.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: AtomicU64::new(0), count: AtomicU64::new(0) }
    }

    /// Counts the event. If a line is due, returns the number of events since the last line.
    pub fn count(&self) -> Option<u64> {
        self.count_at(u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn count_at(&self, now: u64) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let next = self.next.load(Ordering::Relaxed);
        let is_due = now >= next
            && self.next.compare_exchange(next, now + PAUSE_MS, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        is_due.then(|| self.count.swap(0, Ordering::Relaxed))
    }
}

/// How many limiters [`OncePerSecondEach`] has.
const LIMITERS: u8 = 64;

/// The same for events of many subjects, in fixed space: a subject with many events does not hide those of others. The
/// few that share a limiter share its lines and counts. Nobody can choose with whom: the hash is another one in each
/// process.
#[derive(Debug)]
pub struct OncePerSecondEach {
    limiters: Box<[OncePerSecond]>,
    hash: RandomState,
}

impl Default for OncePerSecondEach {
    fn default() -> Self {
        Self { limiters: (0..LIMITERS).map(|_| OncePerSecond::new()).collect(), hash: RandomState::new() }
    }
}

impl OncePerSecondEach {
    /// Counts the event. If a line is due, returns the number of events since the last line of this limiter.
    #[must_use]
    pub fn count(&self, subject: &str) -> Option<u64> {
        self.limiter(subject)?.count()
    }

    fn limiter(&self, subject: &str) -> Option<&OncePerSecond> {
        let index = usize::try_from(self.hash.hash_one(subject) % u64::from(LIMITERS)).ok()?;
        self.limiters.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_once_a_second_and_counts_all_since_the_last() {
        let line = OncePerSecond::new();
        assert_eq!(line.count_at(0), Some(1));
        assert_eq!((0..500).filter_map(|_| line.count_at(999)).count(), 0);
        assert_eq!(line.count_at(1_000), Some(501));
        assert_eq!(line.count_at(1_001), None);
    }
    #[test]
    fn a_loud_subject_hides_no_other_and_all_together_have_few_lines() {
        let lines = OncePerSecondEach::default();
        let count = |subject: &str| lines.limiter(subject).unwrap().count_at(0);
        assert_eq!(count("loud"), Some(1));
        assert_eq!((0..500).filter_map(|_| count("loud")).count(), 0);
        let due = (0..10_000).filter_map(|subject: u32| count(&subject.to_string())).count();
        assert_eq!(due, usize::from(LIMITERS) - 1);
    }
}
