//! The gauges of subscriptions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{describe_gauge, gauge};
use service_kit::metrics::Registry;

use super::gauges::inexact;
use crate::subscription::operator::SubscriptionStatus;

/// Most subscriptions that one scrape exports: each has eight series.
pub(super) const EXPORTED_MAX: i64 = 200;
/// Most names in the life of a process. Later ones are not exported.
const NAMES_MAX: usize = 1_000;

const LAG_EVENTS: &str = "orders_subscription_lag_events";
const LAG_SECONDS: &str = "orders_subscription_lag_seconds";
const STATE: &str = "orders_subscription_state";
const FAILURES: &str = "orders_subscription_failures";
const PARKED: &str = "orders_subscription_parked_events";

const STATES: [&str; 3] = ["running", "paused", "lost"];

/// The gauges of subscriptions, queried at each scrape.
#[derive(Clone)]
pub(super) struct SubscriptionGauges {
    registry: Registry,
    /// The names that have been exported. A gauge cannot be removed.
    exported: Arc<Mutex<BTreeSet<String>>>,
}

impl SubscriptionGauges {
    pub(super) fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe_gauge!(
                LAG_EVENTS,
                "Events in the log that the subscription has not handled; an estimate beyond 10000."
            );
            describe_gauge!(
                LAG_SECONDS,
                "How long ago the first event was logged that the subscription has not handled; 0 if there is none."
            );
            describe_gauge!(STATE, "1 for the state that the subscription is in: running, paused or lost.");
            describe_gauge!(FAILURES, "Failures of the subscription in a row.");
            describe_gauge!(
                PARKED,
                "Parked events of the subscription: retried automatically, or left for an operator. Counted up to \
                 100000."
            );
        });
        Self { registry: registry.clone(), exported: Arc::default() }
    }

    /// Sets the gauges. Those of subscriptions that are gone become NaN.
    pub(super) fn set(&self, subscriptions: &[SubscriptionStatus]) {
        let mut exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        self.registry.register(|| {
            let mut gone = exported.clone();
            for status in subscriptions {
                gone.remove(&status.name);
                if exported.contains(&status.name) || exported.len() < NAMES_MAX {
                    exported.insert(status.name.clone());
                    set(status);
                }
            }
            for name in &gone {
                set_unknown(name);
            }
        });
    }

    /// NaN, because an old value would look current.
    pub(super) fn set_unknown(&self) {
        self.set(&[]);
    }
}

fn set(status: &SubscriptionStatus) {
    let name = &status.name;
    gauge!(LAG_EVENTS, "subscription" => name.clone()).set(inexact(status.lag_events));
    gauge!(LAG_SECONDS, "subscription" => name.clone()).set(status.lag_seconds.unwrap_or_default());
    for state in STATES {
        let is_in = if status.state == state { 1.0 } else { 0.0 };
        gauge!(STATE, "subscription" => name.clone(), "state" => state).set(is_in);
    }
    gauge!(FAILURES, "subscription" => name.clone()).set(f64::from(status.failures));
    for (state, events) in parked_states(status.parked_retrying, status.parked_left_for_operator) {
        gauge!(PARKED, "subscription" => name.clone(), "state" => state).set(inexact(events));
    }
}

fn set_unknown(name: &str) {
    for gauge in [LAG_EVENTS, LAG_SECONDS, FAILURES] {
        gauge!(gauge, "subscription" => name.to_owned()).set(f64::NAN);
    }
    for state in STATES {
        gauge!(STATE, "subscription" => name.to_owned(), "state" => state).set(f64::NAN);
    }
    for (state, _) in parked_states(0, 0) {
        gauge!(PARKED, "subscription" => name.to_owned(), "state" => state).set(f64::NAN);
    }
}

fn parked_states(retrying: i64, left_for_operator: i64) -> [(&'static str, i64); 2] {
    [("retrying", retrying), ("waiting_for_operator", left_for_operator)]
}
