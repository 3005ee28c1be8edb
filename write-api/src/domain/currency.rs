//! The currency of an order.

/// The currency of all amounts of an order: three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency([u8; 3]);

/// Why a currency is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CurrencyError {
    /// Not a code in upper case that ISO 4217 lists with a minor unit.
    #[error("must be a currency code of ISO 4217 in capital letters, such as EUR")]
    Unknown,
    /// Not three capital letters.
    #[error("must be three capital letters")]
    NotACode,
}

impl Currency {
    /// The number of letters of a code.
    pub const LETTERS: usize = 3;

    /// A currency from a request.
    ///
    /// # Errors
    ///
    /// [`CurrencyError::Unknown`] if ISO 4217 does not list the code, or lists it without a minor unit, as for gold:
    /// amounts are in that unit.
    pub fn new(code: &str) -> Result<Self, CurrencyError> {
        let listed = iso_currency::Currency::from_code(code).filter(|currency| currency.exponent().is_some());
        listed.ok_or(CurrencyError::Unknown)?;
        Self::from_stored(code)
    }

    /// A stored currency. The list that it was checked against may have been another one: codes come and go.
    ///
    /// # Errors
    ///
    /// [`CurrencyError::NotACode`] unless the code is three capital letters.
    pub fn from_stored(code: &str) -> Result<Self, CurrencyError> {
        match <[u8; Self::LETTERS]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(CurrencyError::NotACode),
        }
    }

    /// All codes that a request may have, in alphabetical order.
    pub fn codes() -> impl Iterator<Item = String> {
        let letters = || b'A'..=b'Z';
        let codes =
            letters().flat_map(move |a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
        codes
            .map(Self)
            .filter(|currency| Self::new(currency.as_str()).is_ok())
            .map(|code| code.as_str().to_owned())
    }

    /// The code, such as `EUR`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Letters of ASCII are UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_iso_4217_in_capital_letters_is_a_currency() {
        for code in ["EUR", "USD", "JPY", "KWD", "CHF"] {
            assert_eq!(Currency::new(code).unwrap().as_str(), code);
        }
        for code in [
            "",
            "EU",
            "EURO",
            "eur",
            "Eur",
            "ABC",
            "978",
            "€",
            "EU€",
            " EUR",
            "EUR\0",
            "ＥＵＲ",
            "XAU",
            "XXX",
        ] {
            assert_eq!(Currency::new(code), Err(CurrencyError::Unknown), "{code:?}");
        }
    }

    #[test]
    fn a_stored_code_may_be_missing_in_this_builds_list() {
        assert_eq!(Currency::from_stored("ABC").unwrap().as_str(), "ABC");
        for code in ["", "EU", "EURO", "eur", "EU1", "€"] {
            assert_eq!(Currency::from_stored(code), Err(CurrencyError::NotACode), "{code:?}");
        }
    }

    #[test]
    fn the_list_has_every_code_once() {
        let codes: Vec<_> = Currency::codes().collect();
        assert!(codes.is_sorted() && codes.len() > 150, "{codes:?}");
        assert!(codes.iter().all(|code| Currency::new(code).is_ok()));
        assert!(["EUR", "XCG", "ZWG"].iter().all(|code| codes.contains(&(*code).to_owned())), "{codes:?}");
    }
}
