//! The status of an order, by which lists are filtered.

/// The status of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderStatus {
    /// Accepted, not paid.
    Placed,
    /// Paid, not shipped.
    Paid,
    /// On its way.
    Shipped,
    /// With the customer.
    Delivered,
    /// Cancelled before it was shipped.
    Cancelled,
}

impl OrderStatus {
    /// Every status, in the order in which an order reaches them.
    pub const ALL: [Self; 5] = [Self::Placed, Self::Paid, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// The name that summaries carry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}
