//! The gauges of `/metrics`.

use metrics::{Gauge, describe_gauge, gauge};
use service_kit::metrics::Registry;

use super::observation::{Outbox, Parked, Server, Waiting};

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
    outbox_readable: Gauge,
    waiting_readable: Gauge,
    parked_readable: Gauge,
    subscriptions_readable: Gauge,
}

impl Gauges {
    pub(crate) fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe();
            let readable = |table: &'static str| gauge!("orders_table_readable", "table" => table);
            Self {
                up: gauge!("orders_database_up"),
                backlog: gauge!("orders_outbox_backlog_events"),
                oldest: gauge!("orders_outbox_oldest_event_age_seconds"),
                waiting: gauge!("orders_waiting_events"),
                parked_retrying: gauge!("orders_parked_events", "state" => "retrying"),
                parked_left_for_operator: gauge!("orders_parked_events", "state" => "waiting_for_operator"),
                dead_rows: gauge!("orders_outbox_dead_rows"),
                oldest_transaction: gauge!("orders_oldest_transaction_age_seconds"),
                outbox_readable: readable("outbox"),
                waiting_readable: readable("waiting_events"),
                parked_readable: readable("parked_events"),
                subscriptions_readable: readable("subscriptions"),
            }
        })
    }

    /// Whether the database replied.
    pub(crate) fn set_up(&self, is_up: bool) {
        self.up.set(truth(is_up));
    }

    /// The oldest event is that of what is known. Without the waiting events the backlog is that of the outbox; without
    /// the outbox it is not known.
    pub(crate) fn set_backlog(&self, outbox: Option<Outbox>, waiting: Option<Waiting>) {
        self.outbox_readable.set(truth(outbox.is_some()));
        self.waiting_readable.set(truth(waiting.is_some()));
        let (of_outbox, of_waiting) =
            (outbox.map(|outbox| outbox.events), waiting.map(|waiting| waiting.events));
        let events = of_outbox.zip(of_waiting).map(|(one, other)| one.saturating_add(other));
        self.backlog.set(number(events.or(of_outbox)));
        self.waiting.set(number(of_waiting));
        let oldest = outbox.map(|outbox| outbox.oldest_seconds).into_iter();
        // The greatest; NaN if nothing is known.
        self.oldest.set(oldest.chain(waiting.map(|waiting| waiting.oldest_seconds)).fold(f64::NAN, f64::max));
    }

    pub(crate) fn set_parked(&self, parked: Option<Parked>) {
        self.parked_readable.set(truth(parked.is_some()));
        self.parked_retrying.set(number(parked.map(|parked| parked.retrying)));
        self.parked_left_for_operator.set(number(parked.map(|parked| parked.left_for_operator)));
    }

    pub(crate) fn set_server(&self, server: Option<Server>) {
        self.dead_rows.set(number(server.map(|server| server.dead_rows)));
        let oldest = server.and_then(|server| server.oldest_transaction_seconds);
        self.oldest_transaction.set(oldest.unwrap_or(f64::NAN));
    }

    pub(crate) fn set_subscriptions_readable(&self, are_readable: bool) {
        self.subscriptions_readable.set(truth(are_readable));
    }

    /// NaN, because an old value would look current.
    pub(crate) fn set_unknown(&self) {
        for gauge in [
            &self.backlog,
            &self.oldest,
            &self.waiting,
            &self.parked_retrying,
            &self.parked_left_for_operator,
            &self.dead_rows,
            &self.oldest_transaction,
            &self.outbox_readable,
            &self.waiting_readable,
            &self.parked_readable,
            &self.subscriptions_readable,
        ] {
            gauge.set(f64::NAN);
        }
    }
}

fn truth(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

fn number(count: Option<i64>) -> f64 {
    count.map_or(f64::NAN, inexact)
}

fn describe() {
    describe_gauge!(
        "orders_database_up",
        "1 if the database replied to this scrape, by a query of no table; otherwise 0. Gauges of the database are NaN \
         if it did not reply, or is read-only."
    );
    describe_gauge!(
        "orders_table_readable",
        "1 if this scrape could read the table; otherwise 0, as while another session has locked it: gauges about it \
         are NaN, or leave it out. NaN if the database did not reply or is \
         read-only."
    );
    describe_gauge!(
        "orders_outbox_backlog_events",
        "Events that are not projected yet, in the outbox and waiting; estimated from their ids beyond 100000."
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
