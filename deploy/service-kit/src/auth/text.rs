//! Names in tokens and key sets.

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

/// The beginning of `text` for a log, with escapes for what would not show.
pub(super) fn short(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
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
}
