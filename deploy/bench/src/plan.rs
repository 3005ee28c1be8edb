//! Sizes and times of a run.

use std::time::Duration;

use crate::options::Listeners;

/// Sizes and times of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Duration of one measurement.
    pub(crate) time: Duration,
    pub(crate) rounds: u32,
    /// Divides numbers of rows. If greater than 1, longer measurements take `time` too: the run only shows that
    /// everything works.
    pub(crate) shrink: u32,
    pub(crate) listeners: Listeners,
}

impl Plan {
    /// `rows` divided by [`Self::shrink`].
    pub(crate) fn rows(self, rows: u32) -> u32 {
        (rows / self.shrink).max(1)
    }

    /// `count` times [`Self::time`]; once if shrunk.
    pub(crate) fn times(self, count: u32) -> Duration {
        if self.shrink > 1 { self.time } else { self.time * count }
    }

    /// Whether figures are to mean something: what is measured must be warm.
    pub(crate) fn warms_up(self) -> bool {
        self.shrink == 1
    }

    pub(crate) fn seconds(self) -> u64 {
        self.time.as_secs()
    }
}
