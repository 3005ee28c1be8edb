//! The gauges of `/metrics`.

use metrics::{Gauge, describe_gauge, gauge};
use service_kit::metrics::Registry;

use super::observation::Observation;

/// The gauges, queried at each scrape.
#[derive(Clone)]
pub(crate) struct Gauges {
    up: Gauge,
    backlog: Gauge,
    oldest: Gauge,
    waiting: Gauge,
    parked_retrying: Gauge,
    parked_left_for_operator: Gauge,
    dead_rows: Gauge,
    oldest_transaction: Gauge,
}

impl Gauges {
    pub(crate) fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe();
            Self {
                up: gauge!("orders_database_up"),
                backlog: gauge!("orders_outbox_backlog_events"),
                oldest: gauge!("orders_outbox_oldest_event_age_seconds"),
                waiting: gauge!("orders_waiting_events"),
                parked_retrying: gauge!("orders_parked_events", "state" => "retrying"),
                parked_left_for_operator: gauge!("orders_parked_events", "state" => "waiting_for_operator"),
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
        self.parked_left_for_operator.set(inexact(observed.parked_left_for_operator));
        self.dead_rows.set(inexact(observed.dead_rows));
        self.oldest_transaction.set(observed.oldest_transaction_seconds.unwrap_or(f64::NAN));
    }

    /// NaN, because an old value would look current.
    pub(crate) fn set_unknown(&self) {
        self.up.set(0.0);
        for gauge in [
            &self.backlog,
            &self.oldest,
            &self.waiting,
            &self.parked_retrying,
            &self.parked_left_for_operator,
            &self.dead_rows,
            &self.oldest_transaction,
        ] {
            gauge.set(f64::NAN);
        }
    }
}

fn describe() {
    describe_gauge!(
        "orders_database_up",
        "1 if the database replied to this scrape; otherwise 0, and the other gauges are NaN."
    );
    describe_gauge!(
        "orders_outbox_backlog_events",
        "Events that are not projected yet; estimated from their ids beyond 100000."
    );
    describe_gauge!(
        "orders_outbox_oldest_event_age_seconds",
        "Age of the oldest event that is not projected yet; 0 if there is none."
    );
    describe_gauge!(
        "orders_waiting_events",
        "Events whose row in a read model another session has locked; part of the backlog. Counted up to \
         100000."
    );
    describe_gauge!("orders_parked_events", "Parked events: retried automatically, or left for an operator.");
    describe_gauge!(
        "orders_outbox_dead_rows",
        "Projected events that vacuum has not removed yet, by PostgreSQL's statistics."
    );
    describe_gauge!(
        "orders_oldest_transaction_age_seconds",
        "Age of the oldest transaction, which keeps vacuum from removing rows deleted since. NaN if the role \
         that ran the migrations may not see it."
    );
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "Prometheus has floating-point numbers only, and counts up to 2^53 are exact"
)]
pub(super) fn inexact(count: i64) -> f64 {
    count as f64
}
