//! How many bytes a batch may have, so that it does not keep what comes next waiting for long.

use std::time::Duration;

/// A full batch is to last about so long at most.
const TARGET: Duration = Duration::from_millis(100);

/// As many small orders as fit into a batch have fewer bytes than this, and one large order does.
const LEAST: usize = 512 * 1024;

/// Follows how fast PostgreSQL has lately been.
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

    /// The most bytes in the next batch. One command may have more.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A batch of so many bytes took so long. Only one that was about full says something about the limit: a small one took
    /// long for other reasons, such as a lock.
    pub(super) fn record(&mut self, bytes: usize, took: Duration) {
        if bytes < self.limit / 2 {
            return;
        }
        if took > TARGET {
            self.limit = (self.limit / 2).max(LEAST);
        } else if took < TARGET / 3 {
            self.limit = (self.limit * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_time_that_full_batches_take() {
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
