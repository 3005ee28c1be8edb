//! Runs programs that generate load.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::process::bind_to_this_thread;

/// A program may take this much longer than requested.
const GRACE: Duration = Duration::from_mins(2);

/// Runs the command and returns its output. The kernel kills it if this process ends.
///
/// # Errors
///
/// If it cannot run, fails, or takes much longer than `time`.
pub(crate) async fn run(mut command: Command, time: Duration) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    bind_to_this_thread(&mut command, Signal::SIGKILL);
    let mut command = tokio::process::Command::from(command);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(time + GRACE, output)
        .await
        .with_context(|| format!("{program} does not end"))?
        .with_context(|| format!("{program} cannot be run"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{program} failed: {stdout}{}", String::from_utf8_lossy(&output.stderr));
    Ok(stdout)
}
