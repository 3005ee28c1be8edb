//! A customer's orders, page by page.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{OrderStatus, OrderSummary};

/// Which page of which orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Whose orders.
    pub customer_id: String,
    /// Which of them.
    pub filter: Filter,
    /// The page begins behind this order; `None` is the first page.
    pub after: Option<Position>,
    /// The most orders on the page; at least 1.
    pub limit: u8,
}

/// Which of a customer's orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In any of these; empty means whatever their status is.
    pub statuses: BTreeSet<OrderStatus>,
    /// Placed at this time or later.
    pub placed_from: Option<DateTime<Utc>>,
    /// Placed before this time.
    pub placed_to: Option<DateTime<Utc>>,
}

/// Where in a customer's orders, newest first, one of them stands. It never changes: neither does when an order was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// When the order was placed.
    pub placed_at: DateTime<Utc>,
    /// Its id, which decides between orders placed in the same microsecond.
    pub order_id: Uuid,
}

/// One page, newest order first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The orders.
    pub orders: Vec<OrderSummary>,
    /// Behind which order the next page begins, if there is one.
    pub next: Option<Position>,
}

impl Page {
    /// The page that begins with `orders`, of which only `limit` belong on it: whoever asks for one more learns whether there
    /// is a next page.
    #[must_use]
    pub fn of(mut orders: Vec<OrderSummary>, limit: u8) -> Self {
        let has_next = orders.len() > usize::from(limit);
        orders.truncate(limit.into());
        let next = orders
            .last()
            .filter(|_| has_next)
            .map(|last| Position { placed_at: last.placed_at, order_id: last.order_id });
        Self { orders, next }
    }
}
