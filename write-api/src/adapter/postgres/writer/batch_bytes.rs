//! Limits the bytes of a batch, so that the next batch does not wait long.

use std::time::Duration;

/// About how long a full batch should take at most.
const TARGET: Duration = Duration::from_millis(100);

/// The smallest limit. A full batch of small orders has fewer bytes, and so does one large order.
const MIN: usize = 512 * 1024;

/// The limit. It adapts to the recent speed of PostgreSQL.
#[derive(Debug)]
pub(super) struct BatchBytes {
    limit: usize,
    max: usize,
}

impl BatchBytes {
    /// Starts with the minimum, and never exceeds `max`.
    pub(super) fn new(max: usize) -> Self {
        Self { limit: MIN, max: max.max(MIN) }
    }

    /// The most bytes in the next batch. A batch of a single write may have more.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Records the duration of a batch. Batches below half of the limit are ignored: if they are slow, the cause is
    /// something else, such as a lock.
    pub(super) fn record(&mut self, bytes: usize, elapsed: Duration) {
        if bytes < self.limit / 2 {
            return;
        }
        if elapsed > TARGET {
            self.limit = (self.limit / 2).max(MIN);
        } else if elapsed < TARGET / 3 {
            self.limit = (self.limit * 2).min(self.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_the_duration_of_full_batches() {
        let mut bytes = BatchBytes::new(4 * MIN);
        for (name, part, took, expected) in [
            ("fast", 1, 10, 2 * MIN),
            ("fast", 1, 10, 4 * MIN),
            ("at its maximum", 1, 10, 4 * MIN),
            ("on target", 1, 90, 4 * MIN),
            ("slow but not full", 3, 300, 4 * MIN),
            ("slow", 2, 300, 2 * MIN),
            ("slow", 1, 300, MIN),
            ("at its minimum", 1, 300, MIN),
        ] {
            bytes.record(bytes.limit() / part, Duration::from_millis(took));
            assert_eq!(bytes.limit(), expected, "{name}");
        }
    }
}
