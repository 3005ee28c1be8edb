//! What the feed counts.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use service_kit::metrics::{Registry, rounded};

/// The metrics of the feed.
pub(super) struct FeedMetrics {
    pub(super) reads: Counter,
    pub(super) waiting: Gauge,
    pub(super) counters: Counters,
}

/// What handlers count.
#[derive(Clone)]
pub(super) struct Counters {
    pub(super) events: Counter,
    pub(super) failed: Counter,
}

impl FeedMetrics {
    /// `waiters` requests may wait.
    pub(super) fn register(registry: &Registry, waiters: usize) -> Self {
        registry.register(|| {
            describe_counter!("orders_feed_events_total", "Events sent to clients of the feed.");
            describe_counter!(
                "orders_feed_requests_failed_total",
                "Requests that got a 4xx or 5xx for their checkpoint or another parameter, \
                or because too many clients read or wait, or the log cannot be read."
            );
            describe_counter!(
                "orders_feed_reads_total",
                "Reads of the event log. Requests that wait share them."
            );
            describe_gauge!("orders_feed_waiting", "Requests that wait for events now.");
            let waiting = gauge!("orders_feed_waiting");
            waiting.set(0.0);
            describe_gauge!(
                "orders_feed_waiting_max",
                "How many requests may wait for events. Further ones are refused."
            );
            gauge!("orders_feed_waiting_max").set(rounded(waiters));
            Self {
                reads: counter!("orders_feed_reads_total"),
                waiting,
                counters: Counters {
                    events: counter!("orders_feed_events_total"),
                    failed: counter!("orders_feed_requests_failed_total"),
                },
            }
        })
    }
}
