//! Commands that start a process and leave it running.

use std::process::{Child, Command};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::process::bind_to_this_thread;
use testkit::wait;

/// A shell that ends with what it has started when it is dropped, and when this thread ends.
pub(super) struct Background(Child);

impl Background {
    /// The script of a shell that waits for what `commands` start.
    pub(super) fn script(commands: &str) -> String {
        format!("trap 'kill $!; wait $!' TERM\n{commands}\nwait $!")
    }

    pub(super) fn start(mut shell: Command) -> Result<Self> {
        bind_to_this_thread(&mut shell, Signal::SIGTERM);
        Ok(Self(shell.spawn()?))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _already_gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let ended = || self.0.try_wait().ok().flatten().ok_or("it runs");
        if wait::until_blocking("the end of the commands", Duration::from_secs(30), ended).is_err() {
            let _already_gone = self.0.kill();
        }
    }
}
