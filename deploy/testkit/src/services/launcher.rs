//! The launcher as a child process.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Runs this launcher with what is built already, on free ports, and with a server of its own.
#[must_use]
pub fn launcher_on_free_ports(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.arg("--no-build");
    for port in ["--write-port", "--read-port", "--feed-port", "--admin-port"] {
        command.args([port, "0"]);
    }
    command.env_remove("DATABASE_URL").env_remove("DATABASE_URL_FILE").stdin(Stdio::null());
    command
}
