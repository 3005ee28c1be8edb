//! Programs that make load.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::process::bind_to_this_thread;

/// How much longer than it has been told a program may take until something is wrong.
const GRACE: Duration = Duration::from_mins(2);

/// Runs it to its end and returns what it says. It ends with us, however that may be.
///
/// # Errors
///
/// When it cannot be run, fails, or takes much longer than `time`.
pub(crate) async fn run(mut command: Command, time: Duration) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    bind_to_this_thread(&mut command, Signal::SIGKILL);
    let mut command = tokio::process::Command::from(command);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(time + GRACE, output)
        .await
        .with_context(|| format!("{program} does not end"))?
        .with_context(|| format!("{program} cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{program} failed: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}
