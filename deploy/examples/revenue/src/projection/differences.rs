//! By how much some events change the sums.

use std::collections::BTreeMap;

use super::counted::{Changes, Counted};

/// By how much the rows change, in the order of their keys: workers that lock rows in one order cannot deadlock.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// By month and currency.
    pub(super) by_month: BTreeMap<(String, String), Difference>,
    /// By SKU.
    pub(super) by_sku: BTreeMap<String, Difference>,
}

/// By how much a row changes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) orders: i64,
    /// Cents or units. The totals of one batch can exceed 64 bits.
    pub(super) amount: i128,
}

impl Differences {
    /// Takes out what each order added before, and adds what it adds now.
    pub(super) fn new(Changes(changes): &Changes) -> Self {
        let mut differences = Self::default();
        for (before, after) in changes.values() {
            if let Some(before) = before {
                differences.add(before, -1);
            }
            differences.add(after, 1);
        }
        differences.by_month.retain(|_, difference| *difference != Difference::default());
        differences.by_sku.retain(|_, difference| *difference != Difference::default());
        differences
    }

    fn add(&mut self, order: &Counted, times: i64) {
        if let Some(revenue) = order.revenue() {
            let month = self.by_month.entry((revenue.month, revenue.currency)).or_default();
            month.add(revenue.cents, times);
        }
        for (sku, units) in order.units() {
            self.by_sku.entry(sku.to_owned()).or_default().add(units, times);
        }
    }
}

impl Difference {
    fn add(&mut self, amount: i64, times: i64) {
        self.orders += times;
        self.amount += i128::from(amount) * i128::from(times);
    }
}
