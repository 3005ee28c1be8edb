//! How many bytes a batch may have, so that the next one does not wait long.

use std::time::Duration;

/// A full batch should take no longer than about this.
const TARGET: Duration = Duration::from_millis(100);

/// A full batch of small orders has fewer bytes than this, and so has one large order.
const LEAST: usize = 512 * 1024;

/// Adapts to how fast PostgreSQL has recently been.
#[derive(Debug)]
pub(super) struct BatchBytes {
    limit: usize,
    most: usize,
}

impl BatchBytes {
    /// Starts with the least, and never goes beyond `most`.
    pub(super) fn up_to(most: usize) -> Self {
        Self { limit: LEAST, most: most.max(LEAST) }
    }

    /// The most bytes in the next batch. A single write may have more.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A batch of `bytes` took `elapsed`. Only an almost full batch tells about the limit: a small one took long for other reasons,
    /// such as a lock.
    pub(super) fn record(&mut self, bytes: usize, elapsed: Duration) {
        if bytes < self.limit / 2 {
            return;
        }
        if elapsed > TARGET {
            self.limit = (self.limit / 2).max(LEAST);
        } else if elapsed < TARGET / 3 {
            self.limit = (self.limit * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_the_time_that_full_batches_take() {
        let mut bytes = BatchBytes::up_to(4 * LEAST);
        for (name, part, took, expected) in [
            ("fast", 1, 10, 2 * LEAST),
            ("fast", 1, 10, 4 * LEAST),
            ("at its limit", 1, 10, 4 * LEAST),
            ("about right", 1, 90, 4 * LEAST),
            ("slow, and yet not full", 3, 300, 4 * LEAST),
            ("slow", 2, 300, 2 * LEAST),
            ("slow", 1, 300, LEAST),
            ("at its least", 1, 300, LEAST),
        ] {
            bytes.record(bytes.limit() / part, Duration::from_millis(took));
            assert_eq!(bytes.limit(), expected, "{name}");
        }
    }
}
