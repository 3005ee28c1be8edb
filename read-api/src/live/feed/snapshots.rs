//! Snapshots for subscribers with missing changes.

use std::collections::{HashMap, HashSet};

use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;

use super::{Feed, keep};
use crate::live::SNAPSHOT_ORDERS;
use crate::live::delivery::Orders;
use crate::model::ReadPosition;
use crate::port::{OrderWatch, Read};

/// The maximum number of customers whose snapshots one poll reads. The others wait for the next poll.
const MAX_SNAPSHOTS: usize = 64;

impl<W: OrderWatch> Feed<W> {
    /// The customers whose subscribers have waited longest for a snapshot. Without this order, subscribers at the end
    /// of the list could starve: those at its start may need another snapshot a second later.
    fn next_snapshots(&self) -> Vec<String> {
        let mut waiting: Vec<_> =
            self.subscribers.iter().filter(|one| one.snapshot_due().is_some()).collect();
        waiting.sort_by_key(|one| one.waiting_since());
        let mut chosen = HashSet::new();
        let customers = waiting.into_iter().map(|one| one.customer_id.as_str());
        let customers = customers.filter(|customer| chosen.insert(*customer)).take(MAX_SNAPSHOTS);
        customers.map(str::to_owned).collect()
    }

    /// Sends snapshots to subscribers with missing changes.
    pub(super) async fn send_snapshots(&mut self) {
        let customers = self.next_snapshots();
        if customers.is_empty() {
            return;
        }
        match self.watch.newest(customers.clone(), SNAPSHOT_ORDERS).await {
            Ok(Read { position, found }) => {
                let is_old = |known: &ReadPosition| position.history.is_older_than(known.history);
                if self.position.as_ref().is_some_and(is_old) {
                    return;
                }
                let snapshots = found.into_iter().map(Orders::for_snapshot);
                let snapshots: HashMap<_, _> = customers.into_iter().zip(snapshots).collect();
                let report = &self.report;
                self.subscribers.retain_mut(|subscriber| {
                    let Some(reason) = subscriber.snapshot_due() else { return true };
                    let Some(orders) = snapshots.get(&subscriber.customer_id) else { return true };
                    report.snapshot(reason);
                    let sent = subscriber.send_snapshot(orders, &position);
                    keep(subscriber, &sent, report)
                });
            }
            Err(error) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    tracing::warn!(
                        times,
                        error = chain(&error),
                        "live updates: the query for snapshots failed"
                    );
                }
            }
        }
    }
}
