//! Pages of lists of orders.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{OrderStatus, OrderSummary};

/// A request for one page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListRequest {
    /// The orders of one customer.
    OfCustomer(PageRequest),
    /// The orders of all customers.
    OfAll(PageOfAllRequest),
}

/// A request for one page of the orders of all customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOfAllRequest {
    /// Selects among the orders.
    pub filter: Filter,
    /// The page starts after this order; `None` requests the first page.
    pub after: Option<ListPosition>,
    /// The maximum number of orders on the page; at least 1.
    pub limit: u8,
}

/// A request for one page of a customer's orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The customer who placed the orders.
    pub customer_id: String,
    /// Selects among the customer's orders.
    pub filter: Filter,
    /// The page starts after this order; `None` requests the first page.
    pub after: Option<ListPosition>,
    /// The maximum number of orders on the page; at least 1.
    pub limit: u8,
}

/// Selects among the orders of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Orders in any of these; empty selects every status.
    pub statuses: BTreeSet<OrderStatus>,
    /// Orders placed at this time or later.
    pub placed_from: Option<DateTime<Utc>>,
    /// Orders placed before this time.
    pub placed_to: Option<DateTime<Utc>>,
}

/// An order's position in a list, newest first. It never changes, because `placed_at` never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPosition {
    /// When the order was placed.
    pub placed_at: DateTime<Utc>,
    /// The order's id: the tie-breaker between orders placed in the same microsecond.
    pub order_id: Uuid,
}

/// One page, newest order first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The orders.
    pub orders: Vec<OrderSummary>,
    /// The next page, if there is one, starts after this order.
    pub next: Option<ListPosition>,
}

impl Page {
    /// The first `limit` of `orders`. Pass one order more than `limit`: it shows that there is a next page.
    #[must_use]
    pub fn new(mut orders: Vec<OrderSummary>, limit: u8) -> Self {
        let has_next = orders.len() > usize::from(limit);
        orders.truncate(limit.into());
        let next = orders
            .last()
            .filter(|_| has_next)
            .map(|last| ListPosition { placed_at: last.placed_at, order_id: last.order_id });
        Self { orders, next }
    }
}
