//! How many bytes one batch claims.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::outbox::ClaimedEvent;

/// The default of `BATCH_MAX_BYTES`.
pub(crate) const DEFAULT_BATCH_MAX_BYTES: i64 = 4 << 20;

/// The size of events, estimated from the last claims. A claim returns events up to a byte limit, but locks every
/// event that it requests. So it should not request many more than fit.
pub(crate) struct EventSizes {
    batch_max_bytes: i64,
    /// The average size in the last claim, or half of the previous estimate if that is larger; 0 before the first.
    /// Workers share it.
    bytes_each: AtomicI64,
}

impl EventSizes {
    /// `batch_max_bytes` is positive.
    pub(crate) fn new(batch_max_bytes: i64) -> Self {
        Self { batch_max_bytes, bytes_each: AtomicI64::new(0) }
    }

    pub(crate) fn batch_max_bytes(&self) -> i64 {
        self.batch_max_bytes
    }

    /// How many events the next claim requests, of up to `events`.
    pub(crate) fn limit(&self, events: i64) -> i64 {
        let that_fit = self.batch_max_bytes / self.bytes_each.load(Ordering::Relaxed).max(1);
        that_fit.max(1).min(events)
    }

    /// These events were claimed together.
    pub(crate) fn record(&self, claimed: &[ClaimedEvent]) {
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
    use crate::outbox::Origin;

    fn events(count: usize, bytes_each: usize) -> Vec<ClaimedEvent> {
        let event = ClaimedEvent {
            id: 1,
            kind: String::new(),
            payload: "x".repeat(bytes_each),
            created_at: chrono::DateTime::default(),
            traceparent: None,
            origin: Origin::Parked { attempts: 1 },
        };
        vec![event; count]
    }

    #[test]
    fn claims_request_few_more_events_than_fit_and_more_again_once_events_are_small() {
        let sizes = EventSizes::new(10_000);
        assert_eq!(sizes.limit(1_000), 1_000, "nothing is known yet");
        sizes.record(&events(4, 2_000));
        assert_eq!(sizes.limit(1_000), 5);
        sizes.record(&[]);
        assert_eq!((sizes.limit(1_000), sizes.limit(3)), (5, 3));
        sizes.record(&events(5, 10));
        assert_eq!(sizes.limit(1_000), 10);
        for _ in 0..10 {
            sizes.record(&events(5, 10));
        }
        assert_eq!(sizes.limit(2_000), 1_000);
        sizes.record(&events(1, 20_000));
        assert_eq!(sizes.limit(1_000), 1, "an event larger than the limit is claimed alone");
    }
}
