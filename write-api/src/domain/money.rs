//! Amounts of money, in the minor unit of the order's currency: cents, for most currencies.

/// An amount in the currency's minor unit, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("must not be negative")]
    Negative,
    /// More than [`Cents::MAX`].
    #[error("must be at most {}", Cents::MAX.get())]
    TooLarge,
}

impl Cents {
    /// 0 cents.
    pub const ZERO: Self = Self(0);

    /// The largest amount in a new order, 2^53 − 1. Clients that read numbers as 64-bit floats, such as JavaScript,
    /// read all amounts up to it exactly.
    pub const MAX: Self = Self(9_007_199_254_740_991);

    /// The largest amount in a stored order, which may be older than the limit [`Self::MAX`].
    pub(super) const MAX_STORED: Self = Self(i64::MAX);

    /// An amount in a new order.
    ///
    /// # Errors
    ///
    /// [`AmountError`] below zero and above [`Self::MAX`].
    pub fn new(cents: i64) -> Result<Self, AmountError> {
        Self::from_stored(cents)?.at_most(Self::MAX).ok_or(AmountError::TooLarge)
    }

    /// An amount in a stored order, up to 64 bits.
    ///
    /// # Errors
    ///
    /// [`AmountError::Negative`].
    pub fn from_stored(cents: i64) -> Result<Self, AmountError> {
        if cents < 0 { Err(AmountError::Negative) } else { Ok(Self(cents)) }
    }

    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// This amount, or `None` above `limit`.
    #[must_use]
    pub fn at_most(self, limit: Self) -> Option<Self> {
        (self <= limit).then_some(self)
    }

    /// The sum, or `None` if it does not fit into 64 bits.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The product, or `None` if it does not fit into 64 bits.
    #[must_use]
    pub fn times(self, factor: i32) -> Option<Self> {
        self.0.checked_mul(factor.into()).map(Self)
    }
}
