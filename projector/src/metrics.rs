//! The counters and histograms of the projector.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use service_kit::metrics::Registry;
use shared_events::OrderChange;

use crate::outbox::{ClaimedEvent, Origin};
use crate::webhooks;

const LAG: &str = "orders_projector_lag_seconds";
const BATCH: &str = "orders_projector_batch_events";

/// Upper bounds of the buckets of each histogram.
pub(crate) const BUCKETS: [(&str, &[f64]); 3] = [
    (
        LAG,
        &[
            0.000_5, 0.001, 0.001_5, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
            2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
        ],
    ),
    (BATCH, &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0]),
    (webhooks::metrics::LATENCY, webhooks::metrics::LATENCY_BUCKETS),
];

/// What batches count.
pub struct Metrics {
    applied: Counter,
    parked: Counter,
    retried_applied: Counter,
    retried_refused: Counter,
    batch: Histogram,
    lag: Histogram,
    failed: Counter,
}

impl Metrics {
    /// Metrics that `registry` exports.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe_counter!("orders_projector_events_applied_total", "Events applied, from the outbox.");
            describe_counter!(
                "orders_projector_events_parked_total",
                "Events of the outbox that could not be projected and were parked."
            );
            describe_counter!(
                "orders_projector_retries_total",
                "Further attempts at parked events, by outcome."
            );
            describe_histogram!(
                BATCH,
                "Applied and parked events in one outbox batch. Batches with none are not counted."
            );
            describe_histogram!(
                LAG,
                "From the start of the transaction that wrote an event to the commit of its effect, by the database's \
                 clock. It includes the whole write, so the gap that readers see is smaller."
            );
            describe_counter!(
                "orders_projector_batches_failed_total",
                "Batches that were rolled back because the database failed."
            );
            Self {
                applied: counter!("orders_projector_events_applied_total"),
                parked: counter!("orders_projector_events_parked_total"),
                retried_applied: counter!("orders_projector_retries_total", "outcome" => "applied"),
                retried_refused: counter!("orders_projector_retries_total", "outcome" => "parked_again"),
                batch: histogram!(BATCH),
                lag: histogram!(LAG),
                failed: counter!("orders_projector_batches_failed_total"),
            }
        })
    }

    /// Metrics that are not exported.
    #[must_use]
    pub fn noop() -> Self {
        Self {
            applied: Counter::noop(),
            parked: Counter::noop(),
            retried_applied: Counter::noop(),
            retried_refused: Counter::noop(),
            batch: Histogram::noop(),
            lag: Histogram::noop(),
            failed: Counter::noop(),
        }
    }

    /// A batch of events from the outbox was committed.
    pub(crate) fn outbox_batch(&self, applied: usize, parked: usize) {
        self.count_events(applied, parked);
        if applied + parked > 0 {
            self.batch.record(f64::from(u32::try_from(applied + parked).unwrap_or(u32::MAX)));
        }
    }

    /// Counts events of the outbox, also those that waited for a lock.
    pub(crate) fn count_events(&self, applied: usize, parked: usize) {
        self.applied.increment(widen(applied));
        self.parked.increment(widen(parked));
    }

    /// A batch of parked events was tried again and committed.
    pub(crate) fn retried_batch(&self, applied: usize, parked: usize) {
        self.retried_applied.increment(widen(applied));
        self.retried_refused.increment(widen(parked));
    }

    /// These events were applied and committed, `since_claim` after the claim was sent.
    pub(crate) fn lags(&self, applied: &[ClaimedEvent], since_claim: Duration) {
        // A republished event says nothing that readers miss, and a repair writes many at once.
        for event in applied.iter().filter(|event| event.kind != OrderChange::Republished.kind()) {
            if let Origin::Outbox { age } | Origin::Waiting { age } = event.origin {
                self.lag.record(age + since_claim);
            }
        }
    }

    /// A batch was rolled back because the database failed.
    pub(crate) fn failed(&self) {
        self.failed.increment(1);
    }
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
