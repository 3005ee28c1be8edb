//! The system that the examples use.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;
use testkit::postgres::open_to_the_servers_user;
use testkit::services::{ServiceBinaries, ServiceKind, build_program, launcher_on_free_ports};

use super::pattern::pattern;

/// The launcher, as `cargo run -p local` starts it, on free ports.
pub(super) struct Launcher {
    child: Child,
    /// Its output up to the moment when everything runs.
    printed: String,
    _temp_dir: tempfile::TempDir,
}

impl Launcher {
    pub(super) async fn start() -> Result<Self> {
        ServiceBinaries::build_all(&ServiceKind::WITH_EXAMPLES).await?;
        let temp_dir = tempfile::tempdir()?;
        open_to_the_servers_user(temp_dir.path())?;
        let mut command = launcher_on_free_ports(build_program("local").await?);
        command.arg("--examples").env("TMPDIR", temp_dir.path());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut printed = String::new();
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        for line in lines.map_while(Result::ok).take_while(|line| !line.contains("Ctrl-C stops everything")) {
            printed.push_str(&line);
            printed.push('\n');
        }
        Ok(Self { child, printed, _temp_dir: temp_dir })
    }

    /// A documented command with the addresses of this system.
    pub(super) fn addressed(&self, command: &str) -> Result<String> {
        let mut command = command.to_owned();
        for (service, ports) in [
            ("write-api ", [Some("8081"), Some("9081")]),
            ("read-api ", [Some("8082"), Some("9082")]),
            ("revenue-projector ", [Some("8083"), Some("9083")]),
            ("revenue-api ", [Some("8084"), Some("9084")]),
        ] {
            let line = self.printed.lines().find(|line| line.starts_with(service)).context("no such line")?;
            let urls: Vec<_> = line.split_whitespace().filter(|word| word.starts_with("http://")).collect();
            let [api, admin] = ports;
            ensure!(urls.len() >= 2 || api.is_none(), "no URLs in {line:?}");
            for (port, url) in [(api, urls.first()), (admin, urls.last())] {
                if let (Some(port), Some(url)) = (port, url) {
                    command = command.replace(&format!("http://127.0.0.1:{port}"), url);
                }
            }
        }
        Ok(command)
    }

    /// Compares the table that the launcher prints.
    pub(super) fn compare_demonstration(&self, shown: &[String]) -> Result<()> {
        let id = Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")?;
        let plain = |line: &str| {
            let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
            id.replace(&words, "ID").into_owned()
        };
        ensure!(!shown.is_empty(), "the document shows no demonstration");
        let printed: Vec<_> = self.printed.lines().map(plain).collect();
        for shown in shown {
            let shown = Regex::new(&format!("^{}$", pattern(&plain(shown))?))?;
            ensure!(printed.iter().any(|line| shown.is_match(line)), "{shown} is not in {printed:#?}");
        }
        Ok(())
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _already_gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _reaped = self.child.wait();
    }
}
