//! Whole numbers, in each way that JSON can write them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A whole number. JSON has one number type, and some programs write 2 as `2.0`.
///
/// A number outside 64 bits, or a float too large to be exact, becomes `i64::MIN` or `i64::MAX`. The domain refuses
/// both: all of its limits are lower.
pub(in super::super) struct WholeNumber(pub(in super::super) i64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(WholeNumberVisitor).map(Self)
    }
}

struct WholeNumberVisitor;

impl Visitor<'_> for WholeNumberVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        if number.fract() != 0.0 {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        // The limit itself is excluded: the client may have sent 2^53 + 1, which a float rounds to 2^53.
        if number.abs() < 9_007_199_254_740_992.0 {
            return format!("{number:.0}").parse().map_err(E::custom);
        }
        Ok(if number < 0.0 { i64::MIN } else { i64::MAX })
    }
}
