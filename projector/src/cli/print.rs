//! Printing to standard output.

use std::io::{self, Write};

use anyhow::{Error, Result};

pub(super) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}

pub(super) fn print_line(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Whether nobody reads the output any more, as after `head`, and that is all that went wrong: no context says what was
/// lost or not done.
pub(super) fn is_closed_pipe(error: &Error) -> bool {
    let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().len() == 1 && error.downcast_ref().is_some_and(is_closed)
}

/// `1 event`, `2 events`.
pub(super) fn number_of(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// The same JSON, which does nothing to a terminal. JSON itself escapes the control characters of ASCII, but neither
/// DEL nor those above it; outside of strings there are only spaces and line ends.
pub(super) fn printable_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_control() && !matches!(character, '\t' | '\n' | '\r') {
            let escaped = format!("\\u{:04x}", u32::from(character));
            text.push_str(&escaped);
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn json_is_printed_unchanged_but_for_control_characters_that_it_may_contain_as_they_are() {
        for json in ["{\"a\": \"\\u001b[2J \\\" é 日本\"}", "[1,\n\t2]"] {
            assert_eq!(printable_json(json), json);
        }
        let json = "\"a\u{9b}2J\u{7f}\"";
        let printed = printable_json(json);
        assert_eq!(printed, r#""a\u009b2J\u007f""#);
        let parsed = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(parsed(&printed), parsed(json));
    }

    #[test]
    fn a_closed_pipe_is_no_error_unless_something_was_lost() {
        let closed = || Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_closed_pipe(&closed()));
        assert!(!is_closed_pipe(&Err::<(), _>(closed()).context("nothing was discarded").unwrap_err()));
        assert!(!is_closed_pipe(&Error::new(io::Error::from(io::ErrorKind::StorageFull))));
    }
}
