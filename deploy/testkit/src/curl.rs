//! The program that documented commands use.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

/// Whether this machine has `curl`. Without it a message says that the test is left out.
///
/// # Errors
///
/// If there is none and `REQUIRE_CURL` is set.
#[expect(clippy::print_stderr, reason = "cargo prints it beside the test's name")]
pub fn has_curl() -> Result<bool> {
    let has_curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok();
    ensure!(has_curl || std::env::var_os("REQUIRE_CURL").is_none(), "there is no curl");
    if !has_curl {
        eprintln!("NOT TESTED, no curl: install Debian's package `curl`");
    }
    Ok(has_curl)
}
