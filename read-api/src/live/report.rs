//! Interruptions of live streams, for logs and `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, counter, describe_counter};
use service_kit::metrics::Registry;

/// The reason why a client gets a snapshot instead of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The client resumed, with too many changes since to send them one by one.
    TooManyChangesSinceResume,
    /// The client resumed with an id of another history.
    ResumeOfOtherHistory,
    /// Too many changes at once to send them one by one.
    TooManyChanges,
    /// A failover started a new history.
    NewHistory,
    /// The budget for the queues is used up.
    NoRoom,
}

impl Reason {
    const ALL: [Self; 5] = [
        Self::TooManyChangesSinceResume,
        Self::ResumeOfOtherHistory,
        Self::TooManyChanges,
        Self::NewHistory,
        Self::NoRoom,
    ];

    /// The label in `/metrics` and logs.
    const fn name(self) -> &'static str {
        match self {
            Self::TooManyChangesSinceResume => "resume_too_far",
            Self::ResumeOfOtherHistory => "resume_of_other_history",
            Self::TooManyChanges => "too_many_changes",
            Self::NewHistory => "new_history",
            Self::NoRoom => "no_room",
        }
    }
}

/// Counts interruptions of streams, for `/metrics` and the log.
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
    /// Counts in metrics of `registry`.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe_counter!(
                "orders_live_snapshots_total",
                "Snapshots sent to live streams in place of changes, by reason."
            );
            describe_counter!(
                "orders_live_slow_streams_total",
                "Live streams ended because the client read too slowly."
            );
            Self::new(
                |reason| counter!("orders_live_snapshots_total", "reason" => reason.name()),
                counter!("orders_live_slow_streams_total"),
            )
        })
    }

    /// Counts for the log only.
    #[must_use]
    pub fn unregistered() -> Self {
        Self::new(|_| Counter::noop(), Counter::noop())
    }

    fn new(snapshots: impl Fn(Reason) -> Counter, slow: Counter) -> Self {
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

    /// Logs the counts since the last call.
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
