//! The currency of an order in a list.

use serde::{Serialize, Serializer};

/// Three capital letters, stored in line: a list has many, and an allocation each costs time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrencyCode([u8; 3]);

impl CurrencyCode {
    /// The code in a text; `None` unless it is three capital letters.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let letters = <[u8; 3]>::try_from(text).ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }
}

impl Serialize for CurrencyCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Letters of ASCII are UTF-8.
        serializer.serialize_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_capital_letters_are_a_code() {
        let code = CurrencyCode::from_text(b"EUR").unwrap();
        assert_eq!(serde_json::to_string(&code).unwrap(), "\"EUR\"");
        for text in ["", "EU", "EURO", "eur", "E\u{dc}"] {
            assert_eq!(CurrencyCode::from_text(text.as_bytes()), None, "{text}");
        }
    }
}
