//! Metrics of one pool.

use deadpool::managed::TimeoutType;
use metrics::{Counter, Unit, counter, describe_counter, describe_gauge, gauge};

use super::{Pool, PoolError};
use crate::metrics::{Registry, rounded};

const CONNECTIONS: &str = "orders_database_connections";
const MAX_CONNECTIONS: &str = "orders_database_connections_max";
const WAITING: &str = "orders_database_connections_waited_for";
const FAILURES: &str = "orders_database_connections_failed_total";

/// Counts what a pool could not provide.
pub(super) struct PoolMetrics {
    busy: Counter,
    failed: Counter,
}

impl PoolMetrics {
    /// Shows the state of `pool` in each scrape, under this name.
    pub(super) fn register(registry: &Registry, name: &str, pool: &Pool) -> Self {
        describe(registry);
        let gauge_of = |metric: &'static str| {
            let name = name.to_owned();
            registry.register(|| gauge!(metric, "pool" => name))
        };
        let state_of = |state: &'static str| {
            let name = name.to_owned();
            registry.register(|| gauge!(CONNECTIONS, "pool" => name, "state" => state))
        };
        let (max, waiting) = (gauge_of(MAX_CONNECTIONS), gauge_of(WAITING));
        let (idle, used) = (state_of("idle"), state_of("used"));
        let observed = pool.clone();
        registry.before_each_scrape(move || {
            let status = observed.status();
            max.set(rounded(status.max_size));
            waiting.set(rounded(status.waiting));
            idle.set(rounded(status.available));
            used.set(rounded(status.size.saturating_sub(status.available)));
        });
        let failed = |reason: &'static str| {
            let name = name.to_owned();
            registry.register(|| counter!(FAILURES, "pool" => name, "reason" => reason))
        };
        Self { busy: failed("busy"), failed: failed("connect") }
    }

    pub(super) fn count(&self, error: &PoolError) {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => self.busy.increment(1),
            _ => self.failed.increment(1),
        }
    }
}

fn describe(registry: &Registry) {
    registry.register(|| {
        describe_gauge!(CONNECTIONS, Unit::Count, "Open connections to the database, by pool and state.");
        describe_gauge!(MAX_CONNECTIONS, Unit::Count, "How many connections a pool may have.");
        describe_gauge!(WAITING, Unit::Count, "Requests that wait for a connection of the pool.");
        describe_counter!(
            FAILURES,
            Unit::Count,
            "Connections that a pool could not provide: all stayed busy for DATABASE_POOL_WAIT_MS (`busy`), or none \
             could be opened (`connect`)."
        );
    });
}
