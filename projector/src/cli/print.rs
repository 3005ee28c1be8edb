//! Printing to standard output. A closed pipe, as after `head`, is an error like any other.

use std::io::{self, Write};

use anyhow::Result;

pub(super) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}

pub(super) fn print_line(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
