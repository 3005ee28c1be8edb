//! Texts given by others, each with its own limit.

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
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

/// A text of 1 to `$limit` characters, none of them a control character.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $limit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The longest that it may be, in characters.
            pub const MAX_CHARS: usize = $limit;

            /// # Errors
            ///
            /// [`TextError`] when the text is empty, too long or has a control character.
            pub fn new(text: String) -> Result<Self, TextError> {
                checked(text, Self::MAX_CHARS).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

text!(
    /// Who ordered: 1 to 128 characters, none of them a control character.
    CustomerId,
    128
);
text!(
    /// What is ordered (stock keeping unit): 1 to 64 characters, none of them a control character.
    Sku,
    64
);
text!(
    /// Who carries a shipment: 1 to 64 characters, none of them a control character.
    Carrier,
    64
);
text!(
    /// The carrier's number of a shipment: 1 to 128 characters, none of them a control character.
    TrackingNumber,
    128
);
text!(
    /// Why an order was called off: 1 to 500 characters, none of them a control character.
    CancelReason,
    500
);

fn checked(text: String, limit: usize) -> Result<String, TextError> {
    if text.is_empty() {
        Err(TextError::Empty)
    } else if text.chars().nth(limit).is_some() {
        Err(TextError::TooLong { limit })
    } else if text.chars().any(char::is_control) {
        Err(TextError::ControlCharacter)
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
        assert_eq!(Sku::new("ü".repeat(65)), Err(TextError::TooLong { limit: 64 }));
        assert!(CustomerId::new("c".repeat(128)).is_ok());
        assert_eq!(CustomerId::new("c".repeat(129)), Err(TextError::TooLong { limit: 128 }));
    }

    #[test]
    fn empty_and_control_characters_are_refused() {
        assert_eq!(CustomerId::new(String::new()), Err(TextError::Empty));
        for text in ["a\0b", "line\nbreak", "\u{7f}", "\u{85}"] {
            assert_eq!(Sku::new(text.to_owned()), Err(TextError::ControlCharacter), "{text:?}");
        }
    }
}
