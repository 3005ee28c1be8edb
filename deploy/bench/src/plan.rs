//! How much is measured.

use std::time::Duration;

/// Sizes and times of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How long one measurement takes.
    pub(crate) time: Duration,
    /// How often each is repeated.
    pub(crate) rounds: u32,
    /// Rows are divided by this, and no measurement takes longer than another, if it is more than 1: that only shows that
    /// everything works.
    pub(crate) shrink: u32,
}

impl Plan {
    /// So many rows, or as many of them as this run is about.
    pub(crate) fn rows(self, rows: u32) -> u32 {
        (rows / self.shrink).max(1)
    }

    /// So many measurements' time, or that of one.
    pub(crate) fn times(self, count: u32) -> Duration {
        if self.shrink > 1 { self.time } else { self.time * count }
    }

    pub(crate) fn seconds(self) -> u64 {
        self.time.as_secs()
    }
}
