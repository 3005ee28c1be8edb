//! The lines of an order.

use std::sync::Arc;

use super::{Cents, Sku};

/// A number of units, 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity(i32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("must be at least 1")]
    BelowOne,
    /// More than [`Quantity::MAX`].
    #[error("must be at most {}", Quantity::MAX)]
    TooLarge,
}

impl Quantity {
    pub const MAX: i32 = i32::MAX;

    /// # Errors
    ///
    /// [`QuantityError`] outside 1 to [`Self::MAX`].
    pub fn new(quantity: i64) -> Result<Self, QuantityError> {
        if quantity < 1 {
            return Err(QuantityError::BelowOne);
        }
        i32::try_from(quantity).map(Self).map_err(|_| QuantityError::TooLarge)
    }

    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }
}

/// One line of an order, with price × quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    sku: Sku,
    quantity: Quantity,
    price: Cents,
    total: Cents,
}

/// Price × quantity is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("price times quantity must be at most {limit}")]
pub struct LineTotalTooLarge {
    limit: i64,
}

impl OrderLine {
    /// A line of a new order.
    ///
    /// # Errors
    ///
    /// [`LineTotalTooLarge`] above [`Cents::MAX`].
    pub fn new(sku: Sku, quantity: Quantity, price: Cents) -> Result<Self, LineTotalTooLarge> {
        Self::limited(sku, quantity, price, Cents::MAX)
    }

    /// A line of a stored order, which may be older than the limit [`Cents::MAX`].
    ///
    /// # Errors
    ///
    /// [`LineTotalTooLarge`] if price × quantity does not fit into 64 bits.
    pub fn from_stored(sku: Sku, quantity: Quantity, price: Cents) -> Result<Self, LineTotalTooLarge> {
        Self::limited(sku, quantity, price, Cents::MAX_STORED)
    }

    fn limited(sku: Sku, quantity: Quantity, price: Cents, limit: Cents) -> Result<Self, LineTotalTooLarge> {
        let total = price.times(quantity.get()).and_then(|total| total.at_most(limit));
        let total = total.ok_or(LineTotalTooLarge { limit: limit.get() })?;
        Ok(Self { sku, quantity, price, total })
    }

    /// Stock keeping unit.
    #[must_use]
    pub fn sku(&self) -> &Sku {
        &self.sku
    }

    #[must_use]
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }

    #[must_use]
    pub fn price(&self) -> Cents {
        self.price
    }
}

/// All lines of an order, 1 to 500, with their total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLines {
    /// Lines never change, so an order before and after a step share them.
    lines: Arc<Vec<OrderLine>>,
    count: i32,
    last_sku: Sku,
    total: Cents,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    #[error("must have at least one item")]
    None,
    /// More than [`OrderLines::LIMIT`].
    #[error("must have at most {} items", OrderLines::LIMIT)]
    TooMany,
    /// Σ price × quantity is too large.
    #[error("must add up to at most {limit}")]
    TotalTooLarge {
        /// The limit, in the currency's minor unit.
        limit: i64,
    },
}

impl OrderLines {
    /// The largest number of lines in an order.
    pub const LIMIT: usize = 500;

    /// The lines of a new order.
    ///
    /// # Errors
    ///
    /// [`LinesError`] for none, too many, or a total above [`Cents::MAX`].
    pub fn new(lines: Vec<OrderLine>) -> Result<Self, LinesError> {
        Self::limited(lines, Cents::MAX)
    }

    /// The lines of a stored order, which may be older than the limit [`Cents::MAX`].
    ///
    /// # Errors
    ///
    /// [`LinesError`] for none, too many, or a total that does not fit into 64 bits.
    pub fn from_stored(lines: Vec<OrderLine>) -> Result<Self, LinesError> {
        Self::limited(lines, Cents::MAX_STORED)
    }

    fn limited(lines: Vec<OrderLine>, limit: Cents) -> Result<Self, LinesError> {
        let last_sku = lines.last().ok_or(LinesError::None)?.sku.clone();
        let count = i32::try_from(lines.len()).map_err(|_| LinesError::TooMany)?;
        if lines.len() > Self::LIMIT {
            return Err(LinesError::TooMany);
        }
        let total = lines.iter().try_fold(Cents::ZERO, |total, line| total.plus(line.total));
        let total = total.and_then(|total| total.at_most(limit));
        let total = total.ok_or(LinesError::TotalTooLarge { limit: limit.get() })?;
        Ok(Self { lines: Arc::new(lines), count, last_sku, total })
    }

    /// The lines in the sequence of the request.
    #[must_use]
    pub fn as_slice(&self) -> &[OrderLine] {
        &self.lines
    }

    /// Number of lines.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    #[must_use]
    pub fn last_sku(&self) -> &Sku {
        &self.last_sku
    }

    /// Σ price × quantity.
    #[must_use]
    pub fn total(&self) -> Cents {
        self.total
    }
}

#[cfg(test)]
mod tests;
