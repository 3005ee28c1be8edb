//! Names given by others: of customers and of things that are sold.

/// Who ordered: 1 to 128 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerId(String);

/// What is ordered (stock keeping unit): 1 to 64 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sku(String);

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Nothing in it.
    #[error("must not be empty")]
    Empty,
    /// Longer than allowed.
    #[error("must have at most {limit} characters")]
    TooLong {
        /// The limit, in characters.
        limit: usize,
    },
    /// A control character, such as a line break or NUL.
    #[error("must not contain control characters")]
    ControlCharacter,
}

impl CustomerId {
    /// The longest that a customer id may be, in characters.
    pub const MAX_CHARS: usize = 128;

    /// # Errors
    ///
    /// [`IdentifierError`] when the text is empty, too long or has a control character.
    pub fn new(text: String) -> Result<Self, IdentifierError> {
        checked(text, Self::MAX_CHARS).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sku {
    /// The longest that a SKU may be, in characters.
    pub const MAX_CHARS: usize = 64;

    /// # Errors
    ///
    /// [`IdentifierError`] when the text is empty, too long or has a control character.
    pub fn new(text: String) -> Result<Self, IdentifierError> {
        checked(text, Self::MAX_CHARS).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn checked(text: String, limit: usize) -> Result<String, IdentifierError> {
    if text.is_empty() {
        Err(IdentifierError::Empty)
    } else if text.chars().nth(limit).is_some() {
        Err(IdentifierError::TooLong { limit })
    } else if text.chars().any(char::is_control) {
        Err(IdentifierError::ControlCharacter)
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters() {
        assert!(Sku::new("ü".repeat(64)).is_ok());
        assert_eq!(
            Sku::new("ü".repeat(65)),
            Err(IdentifierError::TooLong { limit: 64 })
        );
        assert!(CustomerId::new("c".repeat(128)).is_ok());
        assert_eq!(
            CustomerId::new("c".repeat(129)),
            Err(IdentifierError::TooLong { limit: 128 })
        );
    }

    #[test]
    fn empty_and_control_characters_are_refused() {
        assert_eq!(CustomerId::new(String::new()), Err(IdentifierError::Empty));
        for text in ["a\0b", "line\nbreak", "\u{7f}", "\u{85}"] {
            assert_eq!(
                Sku::new(text.to_owned()),
                Err(IdentifierError::ControlCharacter),
                "{text:?}"
            );
        }
    }
}
