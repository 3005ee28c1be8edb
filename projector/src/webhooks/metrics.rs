//! The metrics of webhooks. Each endpoint has its own; there are at most 100 endpoints.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use service_kit::metrics::Registry;

pub(crate) const LATENCY: &str = "orders_webhook_request_seconds";
const ATTEMPTS: &str = "orders_webhook_attempts_total";
const PARKED: &str = "orders_webhook_events_parked_total";
const WAITING: &str = "orders_webhook_deliveries_waiting";
const LAG: &str = "orders_webhook_lag_seconds";
const ACTIVE: &str = "orders_webhook_endpoint_active";

/// Upper bounds of the buckets of [`LATENCY`].
pub(crate) const LATENCY_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A status from 200 to 299.
    Delivered,
    /// Another status.
    Refused,
    /// No response in time.
    TimedOut,
    /// No connection, or a broken one.
    Failed,
    /// The address may not be used; nothing was sent.
    AddressRefused,
}

impl Outcome {
    /// Its label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::AddressRefused => "address_refused",
        }
    }
}

/// Makes the metrics of endpoints.
#[derive(Clone)]
pub(crate) struct WebhookMetrics {
    registry: Registry,
}

impl WebhookMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe_counter!(ATTEMPTS, "Requests to a webhook endpoint, by outcome.");
            describe_counter!(PARKED, "Events that a webhook endpoint refused for too long.");
            describe_histogram!(LATENCY, "From the start of a request to a webhook endpoint to its end.");
            describe_gauge!(
                WAITING,
                "Deliveries that wait for a webhook endpoint. The feeder stops at 1000."
            );
            describe_gauge!(
                LAG,
                "Age of the oldest event that waits to be delivered, or to be copied from the log; 0 if there is none."
            );
            describe_gauge!(
                ACTIVE,
                "1 if the endpoint is sent events; 0 if it, or its subscription, is stopped; NaN once it is removed."
            );
        });
        Self { registry: registry.clone() }
    }

    pub(crate) fn of_endpoint(&self, id: i64) -> EndpointMetrics {
        let id = id.to_string();
        self.registry.register(|| {
            let attempts =
                |outcome: Outcome| counter!(ATTEMPTS, "endpoint" => id.clone(), "outcome" => outcome.name());
            EndpointMetrics {
                delivered: attempts(Outcome::Delivered),
                refused: attempts(Outcome::Refused),
                timed_out: attempts(Outcome::TimedOut),
                failed: attempts(Outcome::Failed),
                address_refused: attempts(Outcome::AddressRefused),
                parked: counter!(PARKED, "endpoint" => id.clone()),
                latency: histogram!(LATENCY),
                waiting: gauge!(WAITING, "endpoint" => id.clone()),
                lag: gauge!(LAG, "endpoint" => id.clone()),
                active: gauge!(ACTIVE, "endpoint" => id.clone()),
            }
        })
    }
}

/// The metrics of one endpoint.
#[derive(Clone)]
pub(crate) struct EndpointMetrics {
    delivered: Counter,
    refused: Counter,
    timed_out: Counter,
    failed: Counter,
    address_refused: Counter,
    parked: Counter,
    latency: Histogram,
    waiting: Gauge,
    lag: Gauge,
    active: Gauge,
}

impl EndpointMetrics {
    pub(crate) fn attempt(&self, outcome: Outcome, took: Duration) {
        let counter = match outcome {
            Outcome::Delivered => &self.delivered,
            Outcome::Refused => &self.refused,
            Outcome::TimedOut => &self.timed_out,
            Outcome::Failed => &self.failed,
            Outcome::AddressRefused => &self.address_refused,
        };
        counter.increment(1);
        if outcome != Outcome::AddressRefused {
            self.latency.record(took);
        }
    }

    pub(crate) fn parked(&self, events: usize) {
        self.parked.increment(u64::try_from(events).unwrap_or(u64::MAX));
    }

    pub(crate) fn observed(&self, is_active: bool, waiting: i32, lag_seconds: f64) {
        self.active.set(if is_active { 1.0 } else { 0.0 });
        self.waiting.set(f64::from(waiting));
        self.lag.set(lag_seconds);
    }

    /// The endpoint has been removed, or the database does not reply: an old value would look current.
    pub(crate) fn unknown(&self) {
        for gauge in [&self.active, &self.waiting, &self.lag] {
            gauge.set(f64::NAN);
        }
    }
}
