//! Metrics of connections.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::metrics::{Registry, rounded};

/// The metrics of one listener's connections.
#[derive(Clone)]
pub(super) struct ConnectionMetrics {
    open: Gauge,
    accepted: Counter,
    idle: Counter,
    slow_head: Counter,
    large_head: Counter,
    unread_body: Counter,
    malformed: Counter,
}

/// Why the server ended a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// No request came within the keep-alive time.
    Idle,
    /// A head took too long.
    SlowHead,
    /// A head is too large, or has too many fields.
    LargeHead,
    /// A head cannot be parsed.
    Malformed,
    /// An unread body took too long.
    UnreadBody,
}

/// Counts as an open connection until dropped.
pub(super) struct OpenConnection(ConnectionMetrics);

impl ConnectionMetrics {
    /// `max` connections are served at once.
    pub(super) fn register(registry: &Registry, listener: &'static str, max: usize) -> Self {
        let cut = |reason| counter!("orders_http_connections_cut_total", "listener" => listener, "reason" => reason);
        registry.register(|| {
            describe_gauge!("orders_http_connections_open", "Open connections of clients.");
            describe_gauge!(
                "orders_http_connections_max",
                "How many connections of clients are served at once. Further ones wait in the kernel."
            );
            gauge!("orders_http_connections_max", "listener" => listener).set(rounded(max));
            describe_counter!("orders_http_connections_total", "Accepted connections of clients.");
            describe_counter!(
                "orders_http_connections_cut_total",
                "Connections that this process has ended, by reason."
            );
        });
        registry.register(|| Self {
            open: gauge!("orders_http_connections_open", "listener" => listener),
            accepted: counter!("orders_http_connections_total", "listener" => listener),
            idle: cut("idle"),
            slow_head: cut("slow_head"),
            large_head: cut("large_head"),
            unread_body: cut("unread_body"),
            malformed: cut("malformed"),
        })
    }

    pub(super) fn open_connection(&self) -> OpenConnection {
        self.accepted.increment(1);
        self.open.increment(1.0);
        OpenConnection(self.clone())
    }
}

impl OpenConnection {
    pub(super) fn cut(&self, reason: Cut) {
        let Self(stats) = self;
        match reason {
            Cut::Idle => stats.idle.increment(1),
            Cut::LargeHead => stats.large_head.increment(1),
            Cut::Malformed => stats.malformed.increment(1),
            Cut::SlowHead => stats.slow_head.increment(1),
            Cut::UnreadBody => stats.unread_body.increment(1),
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.decrement(1.0);
    }
}
