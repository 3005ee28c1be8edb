//! What has been counted of an order.

use std::collections::BTreeMap;

use shared_events::{OrderEvent, OrderItem, OrderStatus};
use uuid::Uuid;

/// What has been counted of an order: its newest state, and its facts from any event.
///
/// [`Self::learn`] gives the same result for the same events, in whatever sequence and however often they arrive. What
/// an order adds to the sums depends on this value only. So the sums can be changed by the difference to what the order
/// added before, and neither late, repeated nor republished events do any harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The newest version that was counted.
    pub version: i32,
    /// The status in this version.
    pub status: OrderStatus,
    /// The total in this version.
    pub total_cents: i64,
    /// The month of the payment in UTC, such as `2026-11`; none if no event has said it.
    pub paid_month: Option<String>,
    /// The currency; none if no event has said it.
    pub currency: Option<String>,
    /// The units of each SKU; none if no event has said them.
    pub units: Option<BTreeMap<String, i64>>,
}

/// What an order adds to the revenue of a month. Month and currency are empty if they are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revenue {
    /// Such as `2026-11`.
    pub month: String,
    /// Such as `EUR`.
    pub currency: String,
    /// In the currency's minor unit.
    pub cents: i64,
}

impl Counted {
    /// What one event says.
    fn new(event: &OrderEvent) -> Self {
        let OrderEvent { order, facts, .. } = event;
        Self {
            version: order.version,
            status: order.status,
            total_cents: order.total_cents,
            paid_month: facts.paid_at.map(|paid_at| paid_at.format("%Y-%m").to_string()),
            currency: facts.currency.clone(),
            units: facts.items.as_deref().map(units),
        }
    }

    /// Adds what an event says to what earlier ones said of the same order.
    #[must_use]
    pub fn learn(known: Option<Self>, event: &OrderEvent) -> Self {
        let said = Self::new(event);
        let Some(known) = known else { return said };
        let paid_month = first(known.paid_month.as_ref(), said.paid_month.as_ref());
        let currency = first(known.currency.as_ref(), said.currency.as_ref());
        let units = first(known.units.as_ref(), said.units.as_ref());
        // Events of one version have the same state.
        let newest = if said.version > known.version { said } else { known };
        Self { paid_month, currency, units, ..newest }
    }

    /// What the order adds to the revenue: its total, once it is paid and unless it was cancelled.
    #[must_use]
    pub fn revenue(&self) -> Option<Revenue> {
        match self.status {
            OrderStatus::Paid | OrderStatus::Shipped | OrderStatus::Delivered => Some(Revenue {
                month: self.paid_month.clone().unwrap_or_default(),
                currency: self.currency.clone().unwrap_or_default(),
                cents: self.total_cents,
            }),
            OrderStatus::Placed | OrderStatus::Cancelled => None,
        }
    }

    /// What the order adds to its SKUs: all units, unless it was cancelled.
    pub fn units(&self) -> impl Iterator<Item = (&str, i64)> {
        let counts = self.status != OrderStatus::Cancelled;
        let units = self.units.iter().filter(move |_| counts).flatten();
        units.map(|(sku, units)| (sku.as_str(), *units))
    }
}

/// A fact is set once, so all events that carry it agree. The least of two is only a rule for those that do not.
fn first<T: Ord + Clone>(known: Option<&T>, said: Option<&T>) -> Option<T> {
    known.into_iter().chain(said).min().cloned()
}

fn units(items: &[OrderItem]) -> BTreeMap<String, i64> {
    let mut units = BTreeMap::new();
    for OrderItem { sku, quantity, .. } in items {
        *units.entry(sku.clone()).or_default() += i64::from(*quantity);
    }
    units
}

/// The orders of some events, each with what was counted before them and with them.
#[derive(Debug, Default)]
pub(super) struct Changes(pub(super) BTreeMap<Uuid, (Option<Counted>, Counted)>);

impl Changes {
    /// Applies `events` to what was `known` of their orders. Leaves out orders of which nothing new was said.
    pub(super) fn new(mut known: BTreeMap<Uuid, Counted>, events: &[&OrderEvent]) -> Self {
        let mut changes: BTreeMap<Uuid, (Option<Counted>, Counted)> = BTreeMap::new();
        for event in events {
            let order_id = event.order.order_id;
            let (before, after) = if let Some((before, after)) = changes.remove(&order_id) {
                (before, Some(after))
            } else {
                let known = known.remove(&order_id);
                (known.clone(), known)
            };
            changes.insert(order_id, (before, Counted::learn(after, event)));
        }
        changes.retain(|_, (before, after)| before.as_ref() != Some(after));
        Self(changes)
    }
}
