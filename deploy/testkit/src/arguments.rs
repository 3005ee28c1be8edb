//! What programs say about wrong arguments.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Given by mistake. Everybody who reads the output could read it.
pub const SECRET: &str = "postgres://owner:hunter2@localhost/orders";

/// The part of [`SECRET`] that no output may have.
pub const PASSWORD: &str = "hunter2";

/// Runs `program` with each of these command lines, followed by a secret in each place in which a shell may put one.
/// Fails unless each is refused as a wrong argument that is named and not repeated.
///
/// # Errors
///
/// The command line, and what the program said.
pub fn check_that_none_is_repeated(program: &str, lines: &[&[&str]]) -> Result<()> {
    for line in lines {
        for wrong in [&[SECRET][..], &["--no-such", SECRET], &["--no-such=hunter2"], &["-zhunter2"]] {
            let output = Command::new(program).args(*line).args(wrong).env_clear().output()?;
            let said = String::from_utf8(output.stderr).context("its output is not text")?;
            let what = format!("{line:?} {wrong:?}: {said}");
            ensure!((output.status.code(), output.stdout.as_slice()) == (Some(2), &[]), what);
            ensure!(said.starts_with("error: ") && said.contains("Usage: "), what);
            ensure!(!said.contains(PASSWORD), what);
        }
    }
    Ok(())
}
