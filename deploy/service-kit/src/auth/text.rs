//! Names in tokens and key sets.

use std::borrow::Cow;

use serde_json::Value;

/// The most characters of a name.
const MAX_CHARS: usize = 255;

/// The most characters of a name that are logged.
const SHOWN: usize = 64;

/// A text of 1 to 255 characters, without control characters.
pub(super) fn bounded(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    let is_bounded = !text.is_empty() && text.chars().nth(MAX_CHARS).is_none();
    (is_bounded && !text.chars().any(char::is_control)).then_some(text)
}

/// The beginning of `text` for a log, [escaped].
pub(super) fn short(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(escape).collect()
}

/// `text` for a log, with escapes for what would not show, or would change the direction of what follows.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().all(|one| escape(one).eq([one])) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().flat_map(escape).collect())
}

/// A backslash too, so that no text looks like another one with an escape. Quotes show.
fn escape(one: char) -> impl Iterator<Item = char> {
    let shows = matches!(one, '"' | '\'');
    let escape = (!shows).then(|| one.escape_debug()).into_iter().flatten();
    shows.then_some(one).into_iter().chain(escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters() {
        for (text, is_bounded) in
            [("", false), ("a", true), (&*"ü".repeat(255), true), (&*"ü".repeat(256), false)]
        {
            assert_eq!(bounded(&text.into()).is_some(), is_bounded, "{text}");
        }
    }

    #[test]
    fn control_characters_and_other_types_are_refused() {
        for value in ["a\0".into(), "\n".into(), "\u{85}".into(), 1.into(), Value::Null, vec!["a"].into()] {
            assert_eq!(bounded(&value), None, "{value}");
        }
    }

    #[test]
    fn a_name_in_a_log_is_short_and_on_one_line() {
        assert_eq!(short("key-1"), "key-1");
        assert_eq!(short("a\nb\u{202e}\u{1b}"), r"a\nb\u{202e}\u{1b}");
        assert_eq!(short(&"x".repeat(255)), "x".repeat(64));
    }

    #[test]
    fn what_would_not_show_is_escaped_and_nothing_is_cut() {
        for text in [&*"auth0|ü.山 \"o'brien\"".repeat(10), ""] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        for (text, shown) in [
            ("ali\u{202e}ecila", r"ali\u{202e}ecila"),
            ("\u{2066}a\u{2069}\u{200f}\u{61c}\u{200b}", r"\u{2066}a\u{2069}\u{200f}\u{61c}\u{200b}"),
            (r"ali\u{202e}ecila", r"ali\\u{202e}ecila"),
        ] {
            assert_eq!(escaped(text), shown);
        }
    }
}
