//! How much is measured.

use std::time::Duration;

/// Sizes and times of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How long one measurement takes.
    pub(crate) time: Duration,
    /// How often each is repeated.
    pub(crate) rounds: u32,
    /// What numbers of rows are divided by. If it is more than 1 the longer measurements take as long as any other,
    /// too: such a run only shows that everything works.
    pub(crate) shrink: u32,
}

impl Plan {
    /// So many rows, divided by [`Self::shrink`].
    pub(crate) fn rows(self, rows: u32) -> u32 {
        (rows / self.shrink).max(1)
    }

    /// So many times [`Self::time`]; once, if everything is shrunk.
    pub(crate) fn times(self, count: u32) -> Duration {
        if self.shrink > 1 { self.time } else { self.time * count }
    }

    pub(crate) fn seconds(self) -> u64 {
        self.time.as_secs()
    }
}
