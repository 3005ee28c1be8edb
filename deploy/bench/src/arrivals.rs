//! When a listener outside got which events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stage::Stage;

/// Of one or several listeners. Copies share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Of each listener and order.
    orders: HashMap<(u16, String), Last>,
    events: u64,
    repeated: u64,
    out_of_order: u64,
}

#[derive(Debug)]
struct Last {
    version: i64,
    /// In seconds since 1970.
    at: f64,
}

impl Arrivals {
    /// An event as it was written has arrived now.
    pub(crate) fn note(&self, listener: u16, event: &Value) -> Option<()> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let order_id = event.pointer("/order/order_id")?.as_str()?.to_owned();
        let version = event.pointer("/order/version")?.as_i64()?;
        let mut state = self.lock();
        let last = state.orders.get(&(listener, order_id.clone())).map_or(0, |last| last.version);
        if version <= last {
            state.repeated += 1;
            return Some(());
        }
        if version != last + 1 {
            state.out_of_order += 1;
        }
        state.events += 1;
        state.orders.insert((listener, order_id), Last { version, at });
        Some(())
    }

    /// How many events have arrived, without repeated ones.
    pub(crate) fn events(&self) -> u64 {
        self.lock().events
    }

    /// How many have arrived again.
    pub(crate) fn repeated(&self) -> u64 {
        self.lock().repeated
    }

    pub(crate) fn forget(&self) {
        *self.lock() = State::default();
    }

    /// Checks that each listener got the versions of each order one after the other.
    pub(crate) fn check_order(&self) -> Result<()> {
        let state = self.lock();
        ensure!(state.out_of_order == 0, "{} events came out of order", state.out_of_order);
        Ok(())
    }

    /// From each order's commit to its last arrival. Both clocks are this machine's.
    pub(crate) async fn delays(&self, stage: &Stage) -> Result<Delays> {
        let commits =
            "SELECT order_id::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM orders";
        let commits: HashMap<String, f64> =
            stage.session.query(commits, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut delays = Vec::new();
        for ((_, order_id), Last { at, .. }) in &self.lock().orders {
            let committed = commits.get(order_id).with_context(|| format!("there is no order {order_id}"))?;
            delays.push(1_000.0 * (at - committed));
        }
        delays.sort_unstable_by(f64::total_cmp);
        Ok(Delays(delays))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In milliseconds, in ascending order.
#[derive(Debug)]
pub(crate) struct Delays(Vec<f64>);

impl Delays {
    pub(crate) fn percentile(&self, percent: usize) -> Result<f64> {
        let Self(delays) = self;
        let index = (delays.len() * percent / 100).min(delays.len().saturating_sub(1));
        delays.get(index).copied().context("no orders")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_and_missing_versions_are_noticed() {
        let arrivals = Arrivals::default();
        let note = |listener, version| {
            arrivals.note(listener, &serde_json::json!({"order": {"order_id": "a", "version": version}}))
        };
        for (listener, version) in [(1, 1), (1, 2), (2, 1), (1, 1)] {
            note(listener, version).unwrap();
        }
        assert_eq!((arrivals.events(), arrivals.repeated()), (3, 1));
        assert!(arrivals.check_order().is_ok());
        note(2, 3).unwrap();
        assert!(arrivals.check_order().is_err());
    }
}
