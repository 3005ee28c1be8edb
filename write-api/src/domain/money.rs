//! Amounts of money, in cents.

/// An amount in cents, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(i64);

/// An amount below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must not be negative")]
pub struct NegativePrice;

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// # Errors
    ///
    /// [`NegativePrice`] below zero.
    pub fn new(cents: i64) -> Result<Self, NegativePrice> {
        if cents < 0 { Err(NegativePrice) } else { Ok(Self(cents)) }
    }

    /// The number of cents.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// The sum, or `None` where it does not fit into 64 bits.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// This amount `times` times over, or `None` where that does not fit into 64 bits.
    #[must_use]
    pub fn times(self, times: i32) -> Option<Self> {
        self.0.checked_mul(times.into()).map(Self)
    }
}
