//! What a list can be narrowed to.

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderStatus {
    /// Taken, not paid.
    Placed,
    /// Paid, not on its way.
    Paid,
    /// On its way.
    Shipped,
    /// With the customer.
    Delivered,
    /// Called off.
    Cancelled,
}

impl OrderStatus {
    /// All of them, in the order in which an order goes through them.
    pub const ALL: [Self; 5] = [Self::Placed, Self::Paid, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// Its name, as summaries carry it.
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

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}
