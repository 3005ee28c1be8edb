//! Names in tokens and key sets.

use std::borrow::Cow;

use serde_json::Value;

/// The most characters of a name.
const MAX_CHARS: usize = 255;

/// The most characters of a name that are logged.
const SHOWN: usize = 64;

/// The most bytes of an [`escaped`] name. All that show fit: 255 characters of 4 bytes.
const ESCAPED_MAX: usize = 1_024;

/// Letters and symbols that look like a space or like nothing: fillers of Hangul, and the empty pattern of Braille.
const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}', '\u{2800}'];

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

/// `text` for a log, with escapes for what would not show, or would change the direction of what follows. It ends with
/// `…` if it would be longer than [`ESCAPED_MAX`].
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.len() <= ESCAPED_MAX && text.chars().all(|one| escape(one).eq([one])) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for one in text.chars() {
        let end = shown.len();
        shown.extend(escape(one));
        if shown.len() > ESCAPED_MAX {
            shown.truncate(end);
            shown.push('…');
            break;
        }
    }
    Cow::Owned(shown)
}

/// A backslash too, so that no text looks like another one with an escape. Quotes show.
fn escape(one: char) -> impl Iterator<Item = char> {
    let shows = matches!(one, '"' | '\'');
    let is_blank = BLANK.contains(&one);
    let blank = is_blank.then(|| one.escape_unicode()).into_iter().flatten();
    let escape = (!shows && !is_blank).then(|| one.escape_debug()).into_iter().flatten();
    shows.then_some(one).into_iter().chain(blank).chain(escape)
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
    fn what_would_not_show_is_escaped_and_what_shows_is_not_cut() {
        for text in [&*"auth0|ü.山 \"o'brien\"".repeat(10), &"\u{1f600}".repeat(255), ""] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        for (text, shown) in [
            ("ali\u{202e}ecila", r"ali\u{202e}ecila"),
            ("\u{2066}a\u{2069}\u{200f}\u{61c}\u{200b}", r"\u{2066}a\u{2069}\u{200f}\u{61c}\u{200b}"),
            (r"ali\u{202e}ecila", r"ali\\u{202e}ecila"),
            ("\u{115f}\u{1160}\u{3164}\u{ffa0}\u{2800}", r"\u{115f}\u{1160}\u{3164}\u{ffa0}\u{2800}"),
            ("e\u{301}\u{fe0f}", r"e\u{301}\u{fe0f}"),
        ] {
            assert_eq!(escaped(text), shown);
        }
    }

    #[test]
    fn a_name_of_many_escapes_is_cut_between_two() {
        let shown = escaped(&"\u{e0061}".repeat(255)).into_owned();
        assert_eq!(shown, format!("{}…", r"\u{e0061}".repeat(ESCAPED_MAX / 9)));
    }
}
