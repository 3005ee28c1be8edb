//! What logs and `/metrics` say of live streams.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, counter, describe_counter};
use service_kit::metrics::Registry;

/// Why a client gets a snapshot instead of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It came back, and more has changed since than is sent one by one.
    ResumeTooFar,
    /// It came back with the mark of another history.
    ResumeOfOtherHistory,
    /// More has changed at once than is sent one by one.
    TooManyChanges,
    /// The database has another history since a failover.
    NewHistory,
    /// The queues of the process are full.
    NoRoom,
}

impl Reason {
    const ALL: [Self; 5] = [
        Self::ResumeTooFar,
        Self::ResumeOfOtherHistory,
        Self::TooManyChanges,
        Self::NewHistory,
        Self::NoRoom,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ResumeTooFar => "resume_too_far",
            Self::ResumeOfOtherHistory => "resume_of_other_history",
            Self::TooManyChanges => "too_many_changes",
            Self::NewHistory => "new_history",
            Self::NoRoom => "no_room",
        }
    }
}

/// Counts what interrupts the changes of streams, for `/metrics` and for the log.
pub struct Report {
    snapshots: [(Reason, Count); Reason::ALL.len()],
    slow: Count,
}

struct Count {
    total: Counter,
    unlogged: AtomicU64,
}

impl Count {
    const fn new(total: Counter) -> Self {
        Self { total, unlogged: AtomicU64::new(0) }
    }

    fn increment(&self) {
        self.total.increment(1);
        self.unlogged.fetch_add(1, Ordering::Relaxed);
    }

    fn take_unlogged(&self) -> Option<u64> {
        Some(self.unlogged.swap(0, Ordering::Relaxed)).filter(|count| *count > 0)
    }
}

impl Report {
    /// Counts in metrics that `registry` renders.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe_counter!(
                "orders_live_snapshots_total",
                "Snapshots sent to live streams in place of changes, by why these could not be sent."
            );
            describe_counter!(
                "orders_live_slow_streams_total",
                "Live streams ended because the client read too slowly."
            );
            Self::counting(
                |reason| counter!("orders_live_snapshots_total", "reason" => reason.name()),
                counter!("orders_live_slow_streams_total"),
            )
        })
    }

    /// Counts for the log alone.
    #[must_use]
    pub fn unregistered() -> Self {
        Self::counting(|_| Counter::noop(), Counter::noop())
    }

    fn counting(snapshots: impl Fn(Reason) -> Counter, slow: Counter) -> Self {
        Self {
            snapshots: Reason::ALL.map(|reason| (reason, Count::new(snapshots(reason)))),
            slow: Count::new(slow),
        }
    }

    pub(super) fn snapshot(&self, reason: Reason) {
        for (_, count) in self.snapshots.iter().filter(|(counted, _)| *counted == reason) {
            count.increment();
        }
    }

    pub(super) fn slow(&self) {
        self.slow.increment();
    }

    /// Logs what has been counted since the last time.
    pub(super) fn log(&self) {
        for (reason, count) in &self.snapshots {
            if let Some(streams) = count.take_unlogged() {
                tracing::info!(
                    streams,
                    reason = reason.name(),
                    "live streams got a snapshot instead of changes"
                );
            }
        }
        if let Some(streams) = self.slow.take_unlogged() {
            tracing::info!(streams, "live streams ended: their clients read too slowly");
        }
    }
}
