//! How many bytes one batch claims.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::outbox::ClaimedEvent;

/// Most bytes of payload that a batch claims, where `BATCH_MAX_BYTES` says nothing else.
pub(crate) const DEFAULT_BATCH_MAX_BYTES: i64 = 4 << 20;

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
    use crate::outbox::Origin;

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
