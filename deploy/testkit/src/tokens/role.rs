//! A role for each caller.

/// Who calls, with the scopes of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// Places orders for any customer.
    Checkout,
    /// Pays any order.
    Payment,
    /// Ships and delivers any order.
    Warehouse,
    /// Reads and cancels any order.
    Support,
    /// Reads and watches everything.
    Dashboard,
    /// Reads the event feed.
    Events,
    /// Reads the example's read model.
    Revenue,
    /// Reads, watches and cancels the orders of this customer.
    Customer(&'a str),
}

impl Role<'static> {
    /// All roles of services and staff: each is for the orders of all customers.
    pub const ALL_CUSTOMERS: [Self; 7] = [
        Self::Checkout,
        Self::Payment,
        Self::Warehouse,
        Self::Support,
        Self::Dashboard,
        Self::Events,
        Self::Revenue,
    ];
}

impl<'a> Role<'a> {
    /// The `sub` of its tokens.
    #[must_use]
    pub const fn subject(self) -> &'a str {
        match self {
            Self::Checkout => "checkout",
            Self::Payment => "payment",
            Self::Warehouse => "warehouse",
            Self::Support => "support",
            Self::Dashboard => "dashboard",
            Self::Events => "events",
            Self::Revenue => "revenue",
            Self::Customer(customer) => customer,
        }
    }

    #[must_use]
    pub const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Checkout => &["orders:place"],
            Self::Payment => &["orders:pay"],
            Self::Warehouse => &["orders:fulfil"],
            Self::Support => &["orders:cancel:any", "orders:read:any"],
            Self::Dashboard => &["orders:read:any"],
            Self::Events => &["events:read"],
            Self::Revenue => &["revenue:read"],
            Self::Customer(_) => &["orders:read", "orders:cancel"],
        }
    }

    /// The customer that its tokens belong to.
    #[must_use]
    pub const fn customer(self) -> Option<&'a str> {
        match self {
            Self::Customer(customer) => Some(customer),
            _ => None,
        }
    }
}
