//! What operators do with a service's program.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::bind_to_this_thread;

/// The commands of a service's program, such as `projector webhooks`. Secrets that they print are not shown in errors.
#[derive(Debug, Clone)]
pub struct Operator {
    program: PathBuf,
    database_url: String,
}

#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("`{command}` cannot be run")]
    Run {
        command: String,
        #[source]
        source: io::Error,
    },
    #[error("`{command}` failed: {said}")]
    Failed {
        command: String,
        /// On standard error.
        said: String,
    },
    #[error("`{command}` did not print JSON")]
    NotJson {
        command: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Operator {
    #[must_use]
    pub fn new(program: PathBuf, database_url: String) -> Self {
        Self { program, database_url }
    }

    /// Runs the command with `--json`, and returns what it printed.
    pub async fn json(&self, arguments: &[&str]) -> Result<Value, OperatorError> {
        let mut command = tokio::process::Command::from(self.command(arguments));
        result(arguments, command.kill_on_drop(true).output().await)
    }

    /// The same, for where nothing can be awaited.
    pub fn json_blocking(&self, arguments: &[&str]) -> Result<Value, OperatorError> {
        result(arguments, self.command(arguments).output())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--json").env("DATABASE_URL", &self.database_url);
        // A log line on standard output would not be JSON of the command.
        command.env("RUST_LOG", "off").env("WEBHOOK_ALLOW_PRIVATE", "true").stdin(Stdio::null());
        bind_to_this_thread(&mut command, Signal::SIGTERM);
        command
    }
}

fn result(arguments: &[&str], output: io::Result<Output>) -> Result<Value, OperatorError> {
    let command = arguments.join(" ");
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(OperatorError::Failed { command, said });
        }
        Err(source) => return Err(OperatorError::Run { command, source }),
    };
    serde_json::from_slice(&output.stdout).map_err(|source| OperatorError::NotJson { command, source })
}
