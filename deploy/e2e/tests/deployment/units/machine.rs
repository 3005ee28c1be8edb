//! A machine with systemd: a container, which is gone when the test ends.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::wait::until_blocking;

use crate::commands::run;

const NAME: &str = "orders-units-machine";
const IMAGE: &str = "localhost/orders-systemd";
const LIMIT: Duration = Duration::from_mins(1);

/// systemd hands credentials over by a mount of its own that must reach the whole machine: as on a real one, mounts are
/// shared.
const BOOT: &str = "mount --make-rshared / && exec /lib/systemd/systemd";

pub(super) struct Machine(());

impl Machine {
    /// Starts systemd, and waits for it. PostgreSQL has the name of its certificate.
    pub(super) fn boot() -> Result<Self> {
        let machine = Self(());
        machine.remove();
        let hosts = ["--add-host", "postgres:127.0.0.1", "--add-host", "standby:127.0.0.1"];
        // What systemd itself needs to give its services namespaces of their own.
        let rights = [
            "--cap-add",
            "SYS_ADMIN,SYS_PTRACE",
            "--security-opt",
            "seccomp=unconfined",
            "--systemd",
            "always",
        ];
        let options = ["run", "--detach", "--name", NAME].into_iter().chain(hosts).chain(rights);
        run("podman", options.chain([IMAGE, "bash", "-c", BOOT]))?;
        machine.wait_for("systemd", || {
            let state = machine.exec("systemctl is-system-running --wait || true", &[])?;
            ensure!(state.trim() == "running", "{state}");
            Ok(())
        })?;
        Ok(machine)
    }

    /// Runs a script as root, in the directory that an operator has unpacked.
    pub(super) fn exec(&self, script: &str, arguments: &[&str]) -> Result<String> {
        let Self(()) = self;
        let script = format!("set -euo pipefail\n{script}");
        let command = ["exec", "--workdir", "/root", NAME, "bash", "-c", &script, "script"];
        run("podman", command.into_iter().chain(arguments.iter().copied()))
    }

    /// Copies a file or a directory to the same place.
    pub(super) fn copy(&self, from: &Path, to: &str) -> Result<()> {
        let Self(()) = self;
        let from = from.to_str().context("no UTF-8")?;
        run("podman", ["cp", from, &format!("{NAME}:/root/{to}")]).map(drop)
    }

    /// Tries until it succeeds, or fails with the last error and the end of the journal.
    pub(super) fn wait_for<T>(&self, what: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
        until_blocking(what, LIMIT, attempt).with_context(|| self.journal())
    }

    /// The end of the journal of all units, which says why one of them failed.
    pub(super) fn journal(&self) -> String {
        let lines = self.exec("journalctl --sync; journalctl --no-pager --lines=30 --unit='orders-*'", &[]);
        lines.unwrap_or_else(|error| error.to_string())
    }

    /// What systemd knows about a unit.
    pub(super) fn property(&self, unit: &str, name: &str) -> Result<String> {
        let shown = self.exec("systemctl show --value --property=$2 $1", &[unit, name])?;
        Ok(shown.trim().to_owned())
    }

    pub(super) fn expect(&self, unit: &str, name: &str, value: &str) -> Result<()> {
        let found = self.property(unit, name)?;
        ensure!(found == value, "{unit}: {name} is {found}, not {value}");
        Ok(())
    }

    /// What the process of the unit has logged.
    pub(super) fn log(&self, unit: &str) -> Result<String> {
        let script = "journalctl --sync
            journalctl --no-pager --output=cat _PID=$(systemctl show --value --property=MainPID $1)";
        self.exec(script, &[unit])
    }

    /// Adds lines to a unit; `[Service]` alone takes them away.
    pub(super) fn change(&self, unit: &str, lines: &str) -> Result<()> {
        let script = "mkdir -p /etc/systemd/system/$1.service.d
            printf '%b\\n' \"$2\" >/etc/systemd/system/$1.service.d/test.conf; systemctl daemon-reload";
        self.exec(script, &[unit, lines]).map(drop)
    }

    /// A response of a port of the machine: its status and its body.
    pub(super) fn request(&self, port: u16, head: &str, token: &str, body: &Value) -> Result<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let text = format!(
            "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nprefer: wait=10\r\n\r\n{body}",
            body.len()
        );
        let script = r#"exec 3<>"/dev/tcp/127.0.0.1/$1"; printf '%s' "$2" >&3; timeout 20 cat <&3"#;
        let response = self.exec(script, &[&port.to_string(), &text])?;
        let (head, body) =
            response.split_once("\r\n\r\n").with_context(|| format!("no response: {response}"))?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, serde_json::from_str(body).unwrap_or_default()))
    }

    fn remove(&self) {
        let Self(()) = self;
        // What is left shows in the next run, or is not there.
        drop(run("podman", ["rm", "--force", "--volumes", "--time", "0", NAME]));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.remove();
    }
}
