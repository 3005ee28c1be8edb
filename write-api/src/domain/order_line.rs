//! What an order consists of.

use super::{Cents, Sku};

/// How many of one thing: 1 to 2 147 483 647.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity(i32);

/// Why a number is not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Zero or less.
    #[error("must be at least 1")]
    BelowOne,
    /// More than can be counted.
    #[error("must be at most {}", i32::MAX)]
    TooLarge,
}

impl Quantity {
    /// # Errors
    ///
    /// [`QuantityError`] outside 1 to 2 147 483 647.
    pub fn new(quantity: i64) -> Result<Self, QuantityError> {
        if quantity < 1 {
            return Err(QuantityError::BelowOne);
        }
        i32::try_from(quantity).map(Self).map_err(|_| QuantityError::TooLarge)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }
}

/// One line of an order. Price × quantity fits into 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    sku: Sku,
    quantity: Quantity,
    price: Cents,
    total: Cents,
}

/// Price × quantity does not fit into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("price times quantity must be at most {} cents", i64::MAX)]
pub struct LineTotalTooLarge;

impl OrderLine {
    /// # Errors
    ///
    /// [`LineTotalTooLarge`].
    pub fn new(sku: Sku, quantity: Quantity, price: Cents) -> Result<Self, LineTotalTooLarge> {
        let total = price.times(quantity.get()).ok_or(LineTotalTooLarge)?;
        Ok(Self { sku, quantity, price, total })
    }

    /// What.
    #[must_use]
    pub fn sku(&self) -> &Sku {
        &self.sku
    }

    /// How many.
    #[must_use]
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }

    /// The price of one.
    #[must_use]
    pub fn price(&self) -> Cents {
        self.price
    }
}

/// All lines of an order: 1 to 500, with a total that fits into 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLines {
    lines: Vec<OrderLine>,
    count: i32,
    last_sku: Sku,
    total: Cents,
}

/// Why some lines do not make an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// Not one.
    #[error("must have at least one item")]
    None,
    /// More than 500.
    #[error("must have at most {} items", OrderLines::LIMIT)]
    TooMany,
    /// Σ price × quantity does not fit into 64 bits.
    #[error("must add up to at most {} cents", i64::MAX)]
    TotalTooLarge,
}

impl OrderLines {
    /// The most lines that an order may have.
    pub const LIMIT: usize = 500;

    /// # Errors
    ///
    /// [`LinesError`] for none, too many, or a total that does not fit.
    pub fn new(lines: Vec<OrderLine>) -> Result<Self, LinesError> {
        let last_sku = lines.last().ok_or(LinesError::None)?.sku.clone();
        let count = i32::try_from(lines.len()).map_err(|_| LinesError::TooMany)?;
        if lines.len() > Self::LIMIT {
            return Err(LinesError::TooMany);
        }
        let total = lines
            .iter()
            .try_fold(Cents::ZERO, |total, line| total.plus(line.total))
            .ok_or(LinesError::TotalTooLarge)?;
        Ok(Self { lines, count, last_sku, total })
    }

    /// The lines, in the order in which they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[OrderLine] {
        &self.lines
    }

    /// How many lines.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// The SKU of the last line.
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
mod tests {
    use super::*;
    use crate::domain::NegativePrice;

    fn line(quantity: i64, price: i64) -> OrderLine {
        let sku = Sku::new("sku".to_owned()).unwrap();
        OrderLine::new(sku, Quantity::new(quantity).unwrap(), Cents::new(price).unwrap()).unwrap()
    }

    #[test]
    fn a_quantity_is_at_least_one_and_has_a_limit() {
        for (number, expected) in [
            (i64::MIN, Err(QuantityError::BelowOne)),
            (0, Err(QuantityError::BelowOne)),
            (1, Ok(1)),
            (i64::from(i32::MAX), Ok(i32::MAX)),
            (i64::from(i32::MAX) + 1, Err(QuantityError::TooLarge)),
        ] {
            assert_eq!(Quantity::new(number).map(Quantity::get), expected);
        }
    }

    #[test]
    fn a_price_may_be_zero_but_not_negative() {
        assert_eq!(Cents::new(-1), Err(NegativePrice));
        assert_eq!(line(3, 0).total, Cents::ZERO);
    }

    #[test]
    fn a_line_that_overflows_is_refused() {
        let sku = Sku::new("sku".to_owned()).unwrap();
        let two = Quantity::new(2).unwrap();
        let half = Cents::new(i64::MAX / 2).unwrap();
        let more = Cents::new(i64::MAX / 2 + 1).unwrap();
        assert_eq!(OrderLine::new(sku.clone(), two, half).unwrap().total.get(), i64::MAX - 1);
        assert_eq!(OrderLine::new(sku, two, more), Err(LineTotalTooLarge));
    }

    #[test]
    fn an_order_has_one_to_five_hundred_lines() {
        assert_eq!(OrderLines::new(vec![]), Err(LinesError::None));
        assert_eq!(OrderLines::new(vec![line(1, 1); 500]).unwrap().count(), 500);
        assert_eq!(OrderLines::new(vec![line(1, 1); 501]), Err(LinesError::TooMany));
    }

    #[test]
    fn lines_that_overflow_together_are_refused() {
        assert_eq!(OrderLines::new(vec![line(1, i64::MAX)]).unwrap().total().get(), i64::MAX);
        assert_eq!(OrderLines::new(vec![line(1, i64::MAX), line(1, 1)]), Err(LinesError::TotalTooLarge));
    }
}
