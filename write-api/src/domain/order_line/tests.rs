use super::*;
use crate::domain::AmountError;

const MAX: i64 = 9_007_199_254_740_991;

fn sku() -> Sku {
    Sku::new("sku".to_owned()).unwrap()
}

fn line(quantity: i64, price: i64) -> OrderLine {
    OrderLine::new(sku(), Quantity::new(quantity).unwrap(), Cents::new(price).unwrap()).unwrap()
}

fn stored_line(quantity: i64, price: i64) -> Result<OrderLine, LineTotalTooLarge> {
    OrderLine::from_stored(sku(), Quantity::new(quantity).unwrap(), Cents::from_stored(price).unwrap())
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
fn a_price_is_not_negative_and_exact_in_a_64_bit_float() {
    for (number, expected) in [
        (i64::MIN, Err(AmountError::Negative)),
        (-1, Err(AmountError::Negative)),
        (0, Ok(0)),
        (MAX, Ok(MAX)),
        (MAX + 1, Err(AmountError::TooLarge)),
        (i64::MAX, Err(AmountError::TooLarge)),
    ] {
        assert_eq!(Cents::new(number).map(Cents::get), expected, "{number}");
    }
    assert_eq!(line(3, 0).total, Cents::ZERO);
}

#[test]
fn a_line_total_has_the_limit_of_a_price() {
    let two = Quantity::new(2).unwrap();
    let new = |price| OrderLine::new(sku(), two, Cents::new(price).unwrap());
    assert_eq!(new(MAX / 2).unwrap().total.get(), MAX - 1);
    for price in [MAX / 2 + 1, MAX] {
        assert_eq!(new(price), Err(LineTotalTooLarge { limit: MAX }), "{price}");
    }
}

#[test]
fn an_order_has_one_to_five_hundred_lines() {
    assert_eq!(OrderLines::new(vec![]), Err(LinesError::None));
    assert_eq!(OrderLines::new(vec![line(1, 1); 500]).unwrap().count(), 500);
    assert_eq!(OrderLines::new(vec![line(1, 1); 501]), Err(LinesError::TooMany));
}

#[test]
fn an_orders_total_has_the_limit_of_a_price() {
    assert_eq!(OrderLines::new(vec![line(1, MAX)]).unwrap().total().get(), MAX);
    let too_large = Err(LinesError::TotalTooLarge { limit: MAX });
    assert_eq!(OrderLines::new(vec![line(1, MAX), line(1, 1)]), too_large);
    assert_eq!(OrderLines::new(vec![line(1, MAX); 500]), too_large);
}

#[test]
fn a_stored_order_may_have_any_amount_of_64_bits() {
    assert_eq!(Cents::from_stored(-1), Err(AmountError::Negative));
    assert_eq!(stored_line(1, i64::MAX).unwrap().total.get(), i64::MAX);
    assert_eq!(stored_line(2, i64::MAX), Err(LineTotalTooLarge { limit: i64::MAX }));

    let largest = OrderLines::from_stored(vec![stored_line(1, i64::MAX).unwrap()]).unwrap();
    assert_eq!(largest.total().get(), i64::MAX);
    let beyond = OrderLines::from_stored(vec![stored_line(1, i64::MAX).unwrap(), line(1, 1)]);
    assert_eq!(beyond, Err(LinesError::TotalTooLarge { limit: i64::MAX }));
}
