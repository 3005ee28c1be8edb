//! How many events one batch claims.

use std::time::Duration;

/// The size of the first batch. A few full batches reach the maximum.
const FIRST: i64 = 100;
/// A batch that takes longer is too large: its events become visible together, at the end, and it holds its locks until
/// then.
const TARGET: Duration = Duration::from_millis(200);

/// A batch size that adapts to the database: it doubles while batches are full and fast, and halves when one was slow
/// or failed. A batch that is too large for the statement timeout would otherwise fail again and again.
pub(crate) struct BatchSize {
    size: i64,
    batch_max: i64,
}

impl BatchSize {
    /// `batch_max` is positive.
    pub(crate) fn new(batch_max: i64) -> Self {
        Self { size: FIRST.min(batch_max), batch_max }
    }

    pub(crate) fn get(&self) -> i64 {
        self.size
    }

    /// A batch of `events` was committed, some of which were `locked`. Returns whether it was full.
    pub(crate) fn committed(&mut self, events: usize, locked: usize, took: Duration) -> bool {
        let is_full = i64::try_from(events).is_ok_and(|events| events >= self.size);
        if took > TARGET {
            // A smaller batch would wait for locks as long.
            if locked == 0 {
                self.failed();
            }
        } else if is_full {
            self.size = self.size.saturating_mul(2).min(self.batch_max);
        }
        is_full
    }

    /// A batch failed.
    pub(crate) fn failed(&mut self) {
        self.size = (self.size / 2).max(1);
    }

    /// All events fail, so one shows whether they still do. To look for those at fault among many takes much of the
    /// server's time.
    pub(crate) fn try_one(&mut self) {
        self.size = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);

    #[test]
    fn it_grows_with_full_batches_up_to_its_maximum() {
        let mut size = BatchSize::new(1_000);
        let sizes: Vec<_> = (0..6)
            .map(|_| {
                let now = size.get();
                size.committed(usize::try_from(now).unwrap(), 0, FAST);
                now
            })
            .collect();
        assert_eq!(sizes, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn after_a_batch_of_one_it_grows_again() {
        let mut size = BatchSize::new(1_000);
        size.try_one();
        let sizes: Vec<_> = (0..5)
            .map(|_| {
                size.committed(usize::try_from(size.get()).unwrap(), 0, FAST);
                size.get()
            })
            .collect();
        assert_eq!(sizes, [2, 4, 8, 16, 32]);
    }

    #[test]
    fn it_stays_while_batches_are_not_full_and_never_exceeds_a_small_maximum() {
        let mut size = BatchSize::new(1_000);
        assert!(!size.committed(99, 0, FAST));
        assert_eq!(size.get(), 100);
        assert_eq!(BatchSize::new(7).get(), 7);
    }

    #[test]
    fn it_shrinks_down_to_one_event_while_batches_fail_or_are_slow() {
        let mut size = BatchSize::new(1_000);
        size.committed(100, 1, TARGET * 2);
        assert_eq!(size.get(), 100, "the batch waited for a lock");
        size.committed(100, 0, TARGET * 2);
        assert_eq!(size.get(), 50);
        for _ in 0..10 {
            size.failed();
        }
        assert_eq!(size.get(), 1);
        assert!(size.committed(1, 0, FAST));
        assert_eq!(size.get(), 2);
    }
}
