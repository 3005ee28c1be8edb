//! How many events one batch claims.

use std::time::Duration;

/// The first batch. The largest is reached within a few full ones.
const FIRST: i64 = 100;
/// A batch that takes longer is too large: its events become visible together, when the last one is done, and its locks are
/// held that long.
const TARGET: Duration = Duration::from_millis(200);

/// A batch size that follows what the database can do: it doubles while batches are full and fast, and halves when one was
/// slow or failed. A batch that is too large for the statement timeout would otherwise fail for ever.
pub(crate) struct BatchSize {
    size: i64,
    max: i64,
}

impl BatchSize {
    /// At most `max`, which is positive.
    pub(crate) fn up_to(max: i64) -> Self {
        Self { size: FIRST.min(max), max }
    }

    pub(crate) fn get(&self) -> i64 {
        self.size
    }

    /// `events` were drained in one batch, some of which may be `locked`. Returns whether it was full.
    pub(crate) fn drained(&mut self, events: usize, locked: usize, took: Duration) -> bool {
        let is_full = i64::try_from(events).is_ok_and(|events| events >= self.size);
        if took > TARGET {
            // Waiting for a lock takes no less time in a smaller batch.
            if locked == 0 {
                self.failed();
            }
        } else if is_full {
            self.size = self.size.saturating_mul(2).min(self.max);
        }
        is_full
    }

    /// A batch has failed.
    pub(crate) fn failed(&mut self) {
        self.size = (self.size / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);

    #[test]
    fn it_grows_with_full_batches_up_to_its_maximum() {
        let mut size = BatchSize::up_to(1_000);
        let sizes: Vec<_> = (0..6)
            .map(|_| {
                let now = size.get();
                size.drained(usize::try_from(now).unwrap(), 0, FAST);
                now
            })
            .collect();
        assert_eq!(sizes, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn it_stays_while_batches_are_not_full_and_never_exceeds_a_small_maximum() {
        let mut size = BatchSize::up_to(1_000);
        assert!(!size.drained(99, 0, FAST));
        assert_eq!(size.get(), 100);
        assert_eq!(BatchSize::up_to(7).get(), 7);
    }

    #[test]
    fn it_shrinks_down_to_one_event_while_batches_fail_or_are_slow() {
        let mut size = BatchSize::up_to(1_000);
        size.drained(100, 1, TARGET * 2);
        assert_eq!(size.get(), 100, "it waited for a lock");
        size.drained(100, 0, TARGET * 2);
        assert_eq!(size.get(), 50);
        for _ in 0..10 {
            size.failed();
        }
        assert_eq!(size.get(), 1);
        assert!(size.drained(1, 0, FAST));
        assert_eq!(size.get(), 2);
    }
}
