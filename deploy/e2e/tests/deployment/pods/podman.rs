//! Pods, Secrets and a network of podman, which are gone when the test ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::commands::run;

const LIMIT: Duration = Duration::from_mins(1);

pub(super) fn podman<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
    run("podman", arguments)
}

/// Runs a script in a container.
pub(super) fn exec(container: &str, script: &str, arguments: &[&str]) -> Result<String> {
    podman(["exec", container, "bash", "-c", script, "script"].into_iter().chain(arguments.iter().copied()))
}

/// Gives the files of a volume, which has the name of its Secret, a group and a mode.
pub(super) fn set_mode(volume: &str, group: u32, mode: u32) -> Result<()> {
    let directory = podman(["volume", "inspect", "--format", "{{.Mountpoint}}", volume])?;
    let mut files = fs::read_dir(directory.trim())?.peekable();
    files.peek().with_context(|| format!("volume {volume} is empty"))?;
    for file in files {
        let path = file?.path();
        chown(&path, None, Some(group))?;
        fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
    }
    Ok(())
}

pub(super) struct Podman {
    /// How the names of everything begin.
    prefix: String,
    pub(super) network: String,
    files: TempDir,
}

impl Podman {
    /// Makes the network. What an earlier run has left is removed.
    pub(super) fn new(prefix: &str) -> Result<Self> {
        let (prefix, network) = (prefix.to_owned(), format!("{prefix}-network"));
        let podman = Self { prefix, network, files: tempfile::tempdir()? };
        podman.remove_all();
        self::podman(["network", "create", &podman.network])?;
        Ok(podman)
    }

    fn write(&self, name: &str, document: &Value) -> Result<PathBuf> {
        let file = self.files.path().join(name);
        fs::write(&file, document.to_string())?;
        Ok(file)
    }

    pub(super) fn make_secret(&self, name: &str, document: &Value) -> Result<()> {
        let file = self.write(name, document)?;
        podman(["secret", "create", name, file.to_str().context("no UTF-8")?]).map(drop)
    }

    /// Makes a pod that its Service's name leads to, without starting it.
    pub(super) fn create(&self, name: &str, pod: &Value) -> Result<()> {
        let file = self.write(&format!("{name}.pod"), pod)?;
        // The name of a Service is that of its Deployment; a pod's own name would be the alias of its container too.
        let network = format!("{}:alias={name}", self.network);
        let file = file.to_str().context("no UTF-8")?;
        podman(["play", "kube", "--start=false", "--network", &network, file]).map(drop)
    }

    /// Tries until it succeeds, or fails with the last error and the logs.
    pub(super) fn wait_for<T>(&self, what: &str, attempt: impl Fn() -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match attempt() {
                Err(error) if Instant::now() < deadline => {
                    drop(error);
                    thread::sleep(Duration::from_millis(200));
                }
                result => return result.with_context(|| format!("{what} after {LIMIT:?}\n{}", self.logs())),
            }
        }
    }

    /// The address of a container in the network.
    pub(super) fn address(&self, container: &str) -> Result<String> {
        let template = format!("{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}", self.network);
        Ok(podman(["inspect", "--format", &template, container])?.trim().to_owned())
    }

    fn names(&self, arguments: &[&str], field: &str) -> Vec<String> {
        let format = ["--format", field];
        let listed = podman(arguments.iter().copied().chain(format)).unwrap_or_default();
        listed.lines().filter(|name| name.starts_with(&self.prefix)).map(str::to_owned).collect()
    }

    /// The last lines of every container.
    pub(super) fn logs(&self) -> String {
        let logs = |name: &String| {
            // PostgreSQL and the processes write to different streams.
            let log = Command::new("podman").args(["logs", "--tail", "20", name]).output();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let log = log.map(|log| text(&log.stdout) + &text(&log.stderr)).unwrap_or_default();
            format!("{name}:\n{log}")
        };
        self.names(&["ps", "--all"], "{{.Names}}").iter().map(logs).collect()
    }

    fn remove_all(&self) {
        let remove = |command: &[&str], names: Vec<String>| {
            for name in names {
                // What is left shows in the next run, or is not there.
                drop(podman(command.iter().copied().chain([name.as_str()])));
            }
        };
        remove(&["pod", "rm", "--force", "--time", "5"], self.names(&["pod", "ps"], "{{.Name}}"));
        remove(&["rm", "--force", "--volumes", "--time", "5"], self.names(&["ps", "--all"], "{{.Names}}"));
        remove(&["volume", "rm", "--force"], self.names(&["volume", "ls"], "{{.Name}}"));
        remove(&["secret", "rm"], self.names(&["secret", "ls"], "{{.Name}}"));
        remove(&["network", "rm", "--force"], self.names(&["network", "ls"], "{{.Name}}"));
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.remove_all();
    }
}
