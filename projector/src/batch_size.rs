//! How many events one batch claims, and how many bytes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::adapter::postgres::claimed::ClaimedEvent;

/// Most bytes of payload that a batch claims, where `BATCH_MAX_BYTES` says nothing else.
pub(crate) const DEFAULT_BATCH_MAX_BYTES: i64 = 4 << 20;

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

/// How large events are, as far as the last claims have shown. PostgreSQL limits each claim in bytes, but locks as many events as
/// the claim asks for: it should ask for few more than fit.
pub(crate) struct EventSizes {
    max_bytes: i64,
    /// Of the last claim on average, or half of what this was before; 0 before the first. Workers share it.
    bytes_each: AtomicI64,
}

impl EventSizes {
    /// Claims take at most `max_bytes`, which is positive.
    pub(crate) fn up_to(max_bytes: i64) -> Self {
        Self { max_bytes, bytes_each: AtomicI64::new(0) }
    }

    pub(crate) fn max_bytes(&self) -> i64 {
        self.max_bytes
    }

    /// How many events the next claim asks for, of up to `events`.
    pub(crate) fn limit(&self, events: i64) -> i64 {
        let that_fit = self.max_bytes / self.bytes_each.load(Ordering::Relaxed).max(1);
        that_fit.max(1).min(events)
    }

    /// These were claimed together.
    pub(crate) fn saw(&self, claimed: &[ClaimedEvent]) {
        let bytes: usize = claimed.iter().map(|event| event.payload.len()).sum();
        let Some(mean) = bytes.checked_div(claimed.len()) else { return };
        let mean = i64::try_from(mean).unwrap_or(i64::MAX);
        let before = self.bytes_each.load(Ordering::Relaxed);
        self.bytes_each.store(mean.max(before / 2), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::postgres::claimed::Origin;

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

    fn events(count: usize, bytes_each: usize) -> Vec<ClaimedEvent> {
        let event = ClaimedEvent {
            id: 1,
            kind: String::new(),
            payload: "x".repeat(bytes_each),
            created_at: chrono::DateTime::default(),
            origin: Origin::Parked { attempts: 1 },
        };
        vec![event; count]
    }

    #[test]
    fn claims_ask_for_few_more_events_than_fit_and_for_more_again_once_events_are_small() {
        let sizes = EventSizes::up_to(10_000);
        assert_eq!(sizes.limit(1_000), 1_000, "nothing is known yet");
        sizes.saw(&events(4, 2_000));
        assert_eq!(sizes.limit(1_000), 5);
        sizes.saw(&[]);
        assert_eq!((sizes.limit(1_000), sizes.limit(3)), (5, 3));
        sizes.saw(&events(5, 10));
        assert_eq!(sizes.limit(1_000), 10);
        for _ in 0..10 {
            sizes.saw(&events(5, 10));
        }
        assert_eq!(sizes.limit(2_000), 1_000);
        sizes.saw(&events(1, 20_000));
        assert_eq!(sizes.limit(1_000), 1, "larger than the limit: alone");
    }
}
