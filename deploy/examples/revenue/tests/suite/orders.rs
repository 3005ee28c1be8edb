//! Orders, their events, and the sums that follow from the orders themselves.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use shared_events::{OrderChange, OrderEvent, OrderFacts, OrderItem, OrderState, OrderStatus};
use uuid::Uuid;

/// Sums by month and currency (orders, cents), and by SKU (orders, units).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) by_month: BTreeMap<(String, String), (i64, i128)>,
    pub(crate) by_sku: BTreeMap<String, (i64, i64)>,
}

/// An order and all steps that it took.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    pub(crate) currency: Option<&'static str>,
    pub(crate) items: Vec<OrderItem>,
    pub(crate) placed_at: DateTime<Utc>,
    /// Each with the days since the one before.
    pub(crate) steps: Vec<(OrderStatus, i64)>,
}

const LIVES: [&[OrderStatus]; 6] = [
    &[],
    &[OrderStatus::Cancelled],
    &[OrderStatus::Paid],
    &[OrderStatus::Paid, OrderStatus::Cancelled],
    &[OrderStatus::Paid, OrderStatus::Shipped],
    &[OrderStatus::Paid, OrderStatus::Shipped, OrderStatus::Delivered],
];

impl Order {
    pub(crate) fn random(random: &mut Rng, id: u128) -> Self {
        let item = |random: &mut Rng| OrderItem {
            sku: format!("SKU-{}", random.u8(0..5)),
            quantity: random.i32(1..4),
            price_cents: random.i64(0..10_000),
        };
        let life = LIVES[random.usize(0..LIVES.len())];
        Self {
            id: Uuid::from_u128(id),
            currency: [Some("EUR"), Some("USD"), None][random.usize(0..3)],
            // The same SKU may stand in two lines.
            items: (0..random.usize(1..4)).map(|_| item(random)).collect(),
            placed_at: start() + TimeDelta::days(random.i64(0..60)),
            steps: life.iter().map(|status| (*status, random.i64(0..20))).collect(),
        }
    }

    /// An order that was placed and paid at this time.
    pub(crate) fn paid(id: u128, at: &str, cents: i64) -> Self {
        Self {
            id: Uuid::from_u128(id),
            currency: Some("EUR"),
            items: vec![OrderItem { sku: "SKU".to_owned(), quantity: 1, price_cents: cents }],
            placed_at: at.parse().unwrap_or_else(|_| start()),
            steps: vec![(OrderStatus::Paid, 0)],
        }
    }

    fn total(&self) -> i64 {
        self.items.iter().map(|item| i64::from(item.quantity) * item.price_cents).sum()
    }

    /// When the order reached this version.
    fn reached_at(&self, version: usize) -> DateTime<Utc> {
        self.placed_at + TimeDelta::days(self.steps.iter().take(version - 1).map(|(_, days)| days).sum())
    }

    fn status(&self, version: usize) -> OrderStatus {
        version.checked_sub(2).map_or(OrderStatus::Placed, |step| self.steps[step].0)
    }

    /// The version in which the order was paid, of those up to this one.
    fn paid_version(&self, up_to: usize) -> Option<usize> {
        (1..=up_to).find(|version| self.status(*version) == OrderStatus::Paid)
    }

    fn state(&self, version: usize) -> OrderState {
        OrderState {
            order_id: self.id,
            customer_id: "customer".to_owned(),
            status: self.status(version),
            version: i32::try_from(version).unwrap_or(i32::MAX),
            total_cents: self.total(),
            item_count: i32::try_from(self.items.len()).unwrap_or(i32::MAX),
            last_item_sku: self.items.last().map(|item| item.sku.clone()).unwrap_or_default(),
            placed_at: self.placed_at,
        }
    }

    pub(crate) fn versions(&self) -> usize {
        1 + self.steps.len()
    }

    /// The event of this version, as older builds write it: each fact only in the event of its step.
    pub(crate) fn event(&self, version: usize) -> OrderEvent {
        let (status, at) = (self.status(version), self.reached_at(version));
        let is_placed = version == 1;
        let facts = OrderFacts {
            items: is_placed.then(|| self.items.clone()),
            currency: self.currency.filter(|_| is_placed).map(str::to_owned),
            paid_at: (status == OrderStatus::Paid).then_some(at),
            ..OrderFacts::default()
        };
        OrderEvent::new(self.state(version), facts, change(status), at)
    }

    /// The event that repeats the order as it was in this version.
    pub(crate) fn republished(&self, version: usize) -> OrderEvent {
        let facts = OrderFacts {
            items: Some(self.items.clone()),
            currency: self.currency.map(str::to_owned),
            paid_at: self.paid_version(version).map(|paid| self.reached_at(paid)),
            ..OrderFacts::default()
        };
        OrderEvent::new(self.state(version), facts, OrderChange::Republished, self.reached_at(version))
    }

    /// The events of all versions.
    pub(crate) fn events(&self) -> Vec<OrderEvent> {
        (1..=self.versions()).map(|version| self.event(version)).collect()
    }
}

fn change(status: OrderStatus) -> OrderChange {
    match status {
        OrderStatus::Placed => OrderChange::Placed,
        OrderStatus::Paid => OrderChange::Paid,
        OrderStatus::Shipped => OrderChange::Shipped,
        OrderStatus::Delivered => OrderChange::Delivered,
        OrderStatus::Cancelled => OrderChange::Cancelled,
    }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_793_000_000, 0).unwrap_or_default()
}

/// The sums, computed from the orders and not from events.
pub(crate) fn sums<'a>(orders: impl IntoIterator<Item = &'a Order>) -> Sums {
    let mut sums = Sums::default();
    for order in orders {
        if order.status(order.versions()) == OrderStatus::Cancelled {
            continue;
        }
        if let Some(paid) = order.paid_version(order.versions()) {
            let month = order.reached_at(paid).format("%Y-%m").to_string();
            let currency = order.currency.unwrap_or_default().to_owned();
            let row = sums.by_month.entry((month, currency)).or_default();
            *row = (row.0 + 1, row.1 + i128::from(order.total()));
        }
        let mut units = BTreeMap::new();
        for item in &order.items {
            *units.entry(&item.sku).or_insert(0) += i64::from(item.quantity);
        }
        for (sku, units) in units {
            let row = sums.by_sku.entry(sku.clone()).or_default();
            *row = (row.0 + 1, row.1 + units);
        }
    }
    sums
}
