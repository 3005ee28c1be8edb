//! Texts given by others, each with its own rules.

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
    /// White space where it gets lost on the way, or where nobody sees it.
    #[error("must not begin or end with white space")]
    OuterWhiteSpace,
    /// Nothing but white space.
    #[error("must not be white space only")]
    Blank,
    /// A part of a path that clients and proxies resolve (RFC 3986, 5.2.4), so that it never arrives.
    #[error("must not be `.` or `..`")]
    DotSegment,
}

/// A text of 1 to `$limit` characters, none of them a control character, that follows a further `$rule`.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $limit:literal, $rule:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The longest that it may be, in characters.
            pub const MAX_CHARS: usize = $limit;

            /// A text that comes in now.
            ///
            /// # Errors
            ///
            /// [`TextError`] when the text breaks a rule.
            pub fn new(text: String) -> Result<Self, TextError> {
                let Self(text) = Self::from_stored(text)?;
                $rule(&text)?;
                Ok(Self(text))
            }

            /// A text that was stored, perhaps before there were rules on white space and dots.
            ///
            /// # Errors
            ///
            /// [`TextError`] when the text is empty, too long or has a control character.
            pub fn from_stored(text: String) -> Result<Self, TextError> {
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
    /// Who ordered: 1 to 128 characters, none of them a control character, no white space at either end, and neither `.`
    /// nor `..`: it is a part of paths.
    CustomerId,
    128,
    path_segment
);
text!(
    /// What is ordered (stock keeping unit): 1 to 64 characters, none of them a control character, no white space at either
    /// end.
    Sku,
    64,
    trimmed
);
text!(
    /// Who carries a shipment: 1 to 64 characters, none of them a control character, no white space at either end.
    Carrier,
    64,
    trimmed
);
text!(
    /// The carrier's number of a shipment: 1 to 128 characters, none of them a control character, no white space at either
    /// end.
    TrackingNumber,
    128,
    trimmed
);
text!(
    /// Why an order was called off: 1 to 500 characters, none of them a control character, and not white space only.
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

/// White space is what Unicode's property `White_Space` says.
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
    fn white_space_at_the_ends_of_an_id_is_refused_and_inside_it_is_not() {
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
    fn a_customer_id_is_no_dot_segment() {
        for text in [".", ".."] {
            assert_eq!(CustomerId::new(text.to_owned()), Err(TextError::DotSegment));
            assert!(Sku::new(text.to_owned()).is_ok(), "no path has a SKU in it");
        }
        for text in ["...", "a.", ".a", ". .", "%2E", "．"] {
            assert!(CustomerId::new(text.to_owned()).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_was_stored_may_have_white_space_at_its_ends_or_be_dots() {
        for text in [" a", "a\u{3000}", " ", ".", ".."] {
            assert_eq!(CustomerId::from_stored(text.to_owned()).unwrap().as_str(), text);
            assert_eq!(Sku::from_stored(text.to_owned()).unwrap().as_str(), text);
        }
        assert_eq!(CustomerId::from_stored("a\0".to_owned()), Err(TextError::ControlCharacter));
    }
}
