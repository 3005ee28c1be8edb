//! What `/metrics` tells of the projector.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use service_kit::metrics::Registry;

use crate::adapter::postgres::claimed::{ClaimedEvent, Origin};
use crate::adapter::postgres::observation::Observation;
use crate::drain::Source;

const LAG: &str = "orders_projector_lag_seconds";
const BATCH: &str = "orders_projector_batch_events";

/// Upper bounds of the buckets of each histogram.
pub(crate) const BUCKETS: [(&str, &[f64]); 2] = [
    (
        LAG,
        &[
            0.000_5, 0.001, 0.001_5, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
            2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
        ],
    ),
    (BATCH, &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0]),
];

/// What the drain counts.
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
    /// Metrics that are told by `registry`.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe_counter!("orders_projector_events_applied_total", "Events applied, from the outbox.");
            describe_counter!(
                "orders_projector_events_parked_total",
                "Events of the outbox that could not be projected and were set aside."
            );
            describe_counter!(
                "orders_projector_retries_total",
                "Parked events that were tried again, by how that ended."
            );
            describe_histogram!(BATCH, "Events of the outbox in one batch.");
            describe_histogram!(
                LAG,
                "From the begin of the transaction that wrote an event until its effect was committed, by the \
                 database's clock. It contains the whole write, so that the gap that readers see is smaller."
            );
            describe_counter!(
                "orders_projector_batches_failed_total",
                "Batches that were rolled back because the database did not work."
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

    /// Metrics that nobody asks for.
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

    /// A batch was committed.
    pub(crate) fn batch(&self, source: Source, applied: usize, parked: usize) {
        let (applied_of, parked_of) = match source {
            Source::Outbox | Source::Waiting => (&self.applied, &self.parked),
            Source::Parked => (&self.retried_applied, &self.retried_refused),
        };
        applied_of.increment(widen(applied));
        parked_of.increment(widen(parked));
        if source == Source::Outbox && applied + parked > 0 {
            self.batch.record(f64::from(u32::try_from(applied + parked).unwrap_or(u32::MAX)));
        }
    }

    /// These events were claimed and committed, `since_claim` after the claim was sent.
    pub(crate) fn lags(&self, applied: &[ClaimedEvent], since_claim: Duration) {
        for event in applied {
            if let Origin::Outbox { age } | Origin::Waiting { age } = event.origin {
                self.lag.record(age + since_claim);
            }
        }
    }

    /// A batch was rolled back because the database did not work.
    pub(crate) fn failed(&self) {
        self.failed.increment(1);
    }
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// What is looked up when somebody asks.
#[derive(Clone)]
pub(crate) struct Gauges {
    up: Gauge,
    backlog: Gauge,
    oldest: Gauge,
    waiting: Gauge,
    parked_retrying: Gauge,
    parked_for_good: Gauge,
    dead_rows: Gauge,
    oldest_transaction: Gauge,
}

impl Gauges {
    pub(crate) fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe_gauge!(
                "orders_database_up",
                "1 if the database answered this scrape. If not, the other gauges are NaN."
            );
            describe_gauge!(
                "orders_outbox_backlog_events",
                "Events that wait to be projected; estimated by their ids beyond 100000."
            );
            describe_gauge!(
                "orders_outbox_oldest_event_age_seconds",
                "Age of the event that waits first; 0 where none waits."
            );
            describe_gauge!(
                "orders_waiting_events",
                "Events that wait for the end of a lock on their order's row; they are part of the backlog."
            );
            describe_gauge!(
                "orders_parked_events",
                "Events that could not be projected: tried again by themselves, or left for an operator."
            );
            describe_gauge!(
                "orders_outbox_dead_rows",
                "Projected events that vacuum has not removed yet, as far as PostgreSQL's statistics know."
            );
            describe_gauge!(
                "orders_oldest_transaction_age_seconds",
                "Age of the oldest transaction, which keeps vacuum from removing what was deleted since. NaN where the \
                 role that migrated may not see it."
            );
            Self {
                up: gauge!("orders_database_up"),
                backlog: gauge!("orders_outbox_backlog_events"),
                oldest: gauge!("orders_outbox_oldest_event_age_seconds"),
                waiting: gauge!("orders_waiting_events"),
                parked_retrying: gauge!("orders_parked_events", "state" => "retrying"),
                parked_for_good: gauge!("orders_parked_events", "state" => "waiting_for_operator"),
                dead_rows: gauge!("orders_outbox_dead_rows"),
                oldest_transaction: gauge!("orders_oldest_transaction_age_seconds"),
            }
        })
    }

    pub(crate) fn set(&self, observed: &Observation) {
        self.up.set(1.0);
        self.backlog.set(inexact(observed.backlog));
        self.oldest.set(observed.oldest_seconds);
        self.waiting.set(inexact(observed.waiting));
        self.parked_retrying.set(inexact(observed.parked_retrying));
        self.parked_for_good.set(inexact(observed.parked_for_good));
        self.dead_rows.set(inexact(observed.dead_rows));
        self.oldest_transaction.set(observed.oldest_transaction_seconds.unwrap_or(f64::NAN));
    }

    /// An old figure would look like a good one.
    pub(crate) fn set_unknown(&self) {
        self.up.set(0.0);
        for gauge in [
            &self.backlog,
            &self.oldest,
            &self.waiting,
            &self.parked_retrying,
            &self.parked_for_good,
            &self.dead_rows,
            &self.oldest_transaction,
        ] {
            gauge.set(f64::NAN);
        }
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "Prometheus knows floating-point numbers only, and counts up to 2^53 are exact"
)]
fn inexact(count: i64) -> f64 {
    count as f64
}
