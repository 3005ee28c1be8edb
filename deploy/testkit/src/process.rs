//! Child processes that never outlive this one.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{TimedOut, until_blocking};

/// Raises the soft limit of open files to the hard one. The usual soft limit of 1,024 is too low for a test with a
/// thousand clients.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Starts `command` in its own process group, so that a Ctrl-C for this process does not reach it. The kernel sends it
/// `at_death` when the spawning **thread** ends, even after `kill -9`.
///
/// The spawning thread must live as long as the child should.
pub(crate) fn spawn_bound(command: &mut Command, at_death: Signal) -> io::Result<Child> {
    command.process_group(0);
    bind_to_this_thread(command, at_death);
    command.spawn()
}

/// Makes the kernel send `at_death` to the child when the spawning **thread** ends.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the only way to run prctl in the child; the closure only makes two system calls"
)]
pub fn bind_to_this_thread(command: &mut Command, at_death: Signal) {
    let parent = nix::unistd::getpid();
    let bind = move || {
        nix::sys::prctl::set_pdeathsig(at_death)?;
        // If the parent died before the line above, the signal never comes.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl and getppid are.
    unsafe { command.pre_exec(bind) };
}

/// Only Linux has this. Elsewhere a killed launcher leaves its children; Ctrl-C, errors and panics still end them.
#[cfg(not(target_os = "linux"))]
pub fn bind_to_this_thread(_command: &mut Command, _at_death: Signal) {}

/// Sends `signal`. An ended child is fine.
pub(crate) fn send(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _already_gone = kill(Pid::from_raw(pid), signal);
    }
}

/// Sends `signal` and waits for the end. After `limit` it kills the child.
///
/// # Errors
///
/// [`TimedOut`] when the child had to be killed.
pub(crate) fn stop(child: &mut Child, signal: Signal, limit: Duration) -> Result<ExitStatus, TimedOut> {
    send(child, signal);
    let name = format!("process {} to end", child.id());
    let ended = until_blocking(&name, limit, || child.try_wait().ok().flatten().ok_or("still running"));
    if ended.is_err() {
        kill_now(child);
    }
    ended
}

/// Kills the child and reaps it.
pub(crate) fn kill_now(child: &mut Child) {
    let _already_gone = child.kill();
    let _reaped = child.wait();
}

/// The end of a log, for error messages.
pub(crate) fn last_lines(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
}
