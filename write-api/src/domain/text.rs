//! Texts from clients, each with its own rules.

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("must have at most {limit} characters")]
    TooLong {
        /// The limit, in characters.
        limit: usize,
    },
    /// A control character, such as a line break or NUL.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// White space at an end, where it is invisible or gets lost in transit.
    #[error("must not begin or end with white space")]
    OuterWhiteSpace,
    #[error("must not be white space only")]
    Blank,
    /// Clients and proxies remove these path segments (RFC 3986, 5.2.4), so the service never receives them.
    #[error("must not be `.` or `..`")]
    DotSegment,
}

/// Defines a text of 1 to `$limit` characters, without control characters, that also follows `$rule`.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $limit:literal, $rule:path) => {
        $(#[$doc])*
        ///
        #[doc = concat!("It has 1 to ", $limit, " characters and no control characters.")]
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            pub const MAX_CHARS: usize = $limit;

            /// A text from a request.
            ///
            /// # Errors
            ///
            /// [`TextError`] if the text breaks a rule.
            pub fn new(text: String) -> Result<Self, TextError> {
                let Self(text) = Self::from_stored(text)?;
                $rule(&text)?;
                Ok(Self(text))
            }

            /// A stored text, which may be older than the rules about white space and dots.
            ///
            /// # Errors
            ///
            /// [`TextError`] if the text is empty, too long or has a control character.
            pub fn from_stored(text: String) -> Result<Self, TextError> {
                checked(text, Self::MAX_CHARS).map(Self)
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

text!(
    /// A customer's id: no white space at either end, and not `.` or `..`, because paths contain it.
    CustomerId,
    128,
    path_segment
);
text!(
    /// A stock keeping unit: no white space at either end.
    Sku,
    64,
    trimmed
);
text!(
    /// The carrier of a shipment: no white space at either end.
    Carrier,
    64,
    trimmed
);
text!(
    /// The carrier's number for a shipment: no white space at either end.
    TrackingNumber,
    128,
    trimmed
);
text!(
    /// The reason for a cancellation: not white space only.
    CancelReason,
    500,
    not_blank
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

/// White space is Unicode's property `White_Space`.
fn trimmed(text: &str) -> Result<(), TextError> {
    if text.trim().len() == text.len() { Ok(()) } else { Err(TextError::OuterWhiteSpace) }
}

fn path_segment(text: &str) -> Result<(), TextError> {
    if matches!(text, "." | "..") { Err(TextError::DotSegment) } else { trimmed(text) }
}

fn not_blank(text: &str) -> Result<(), TextError> {
    if text.trim().is_empty() { Err(TextError::Blank) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn white_space() -> impl Iterator<Item = char> {
        ('\0'..=char::MAX).filter(|character| character.is_whitespace() && !character.is_control())
    }

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

    #[test]
    fn white_space_is_refused_at_either_end_and_allowed_inside() {
        assert_eq!(white_space().count(), 19, "Unicode's White_Space without the control characters");
        for space in white_space() {
            for text in [format!("{space}a"), format!("a{space}"), space.to_string()] {
                let refused = Err(TextError::OuterWhiteSpace);
                assert_eq!(CustomerId::new(text.clone()).map(drop), refused, "{text:?}");
                assert_eq!(Sku::new(text.clone()).map(drop), refused, "{text:?}");
                assert_eq!(Carrier::new(text.clone()).map(drop), refused, "{text:?}");
                assert_eq!(TrackingNumber::new(text.clone()).map(drop), refused, "{text:?}");
            }
            let inside = format!("a{space}b");
            assert_eq!(CustomerId::new(inside.clone()).unwrap().as_str(), inside);
            assert_eq!(Sku::new(inside.clone()).unwrap().as_str(), inside);
        }
    }

    #[test]
    fn a_reason_is_not_white_space_only() {
        for space in white_space() {
            assert_eq!(CancelReason::new(space.to_string().repeat(3)), Err(TextError::Blank), "{space:?}");
            assert!(CancelReason::new(format!("{space}too late{space}")).is_ok());
        }
    }

    #[test]
    fn a_customer_id_is_not_a_dot_segment() {
        for text in [".", ".."] {
            assert_eq!(CustomerId::new(text.to_owned()), Err(TextError::DotSegment));
            assert!(Sku::new(text.to_owned()).is_ok(), "paths contain no SKU");
        }
        for text in ["...", "a.", ".a", ". .", "%2E", "．"] {
            assert!(CustomerId::new(text.to_owned()).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_stored_text_may_have_outer_white_space_or_be_a_dot_segment() {
        for text in [" a", "a\u{3000}", " ", ".", ".."] {
            assert_eq!(CustomerId::from_stored(text.to_owned()).unwrap().as_str(), text);
            assert_eq!(Sku::from_stored(text.to_owned()).unwrap().as_str(), text);
        }
        assert_eq!(CustomerId::from_stored("a\0".to_owned()), Err(TextError::ControlCharacter));
    }
}
