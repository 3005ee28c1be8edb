//! The launcher with `--auth`: who may call, and with which of the printed tokens.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::StatusCode;
use testkit::curl::has_curl;
use testkit::postgres::open_to_the_servers_user;
use testkit::services::{ServiceBinaries, ServiceKind, launcher_on_free_ports};
use testkit::tokens::JWKS_FILE;

/// The variables that it prints.
const TOKENS: [&str; 8] = [
    "CHECKOUT_TOKEN",
    "PAYMENT_TOKEN",
    "WAREHOUSE_TOKEN",
    "SUPPORT_TOKEN",
    "DASHBOARD_TOKEN",
    "EVENTS_TOKEN",
    "REVENUE_TOKEN",
    "ALICE_TOKEN",
];

/// A launcher with `--auth --examples` in a temporary directory of its own.
struct Launcher {
    child: Child,
    /// Its lines up to the moment when everything runs.
    printed: Vec<String>,
    temp_dir: tempfile::TempDir,
}

impl Launcher {
    async fn start() -> Result<Self> {
        ServiceBinaries::build_all(&ServiceKind::WITH_EXAMPLES).await?;
        let temp_dir = tempfile::tempdir()?;
        open_to_the_servers_user(temp_dir.path())?;
        let mut command = launcher_on_free_ports(env!("CARGO_BIN_EXE_local"));
        command.args(["--auth", "--examples"]).env("TMPDIR", temp_dir.path());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let lines = lines.map_while(Result::ok);
        let printed = lines.take_while(|line| !line.contains("Ctrl-C stops everything")).collect();
        Ok(Self { child, printed, temp_dir })
    }

    /// The URL of the service's API.
    fn url(&self, service: &str) -> Result<&str> {
        let line = self.printed.iter().find(|line| line.split_whitespace().next() == Some(service));
        line.and_then(|line| line.split_whitespace().nth(1)).with_context(|| format!("no {service}"))
    }

    /// The lines that set the variables of the tokens.
    fn exports(&self) -> Vec<&str> {
        let lines = self.printed.iter().map(|line| line.trim());
        lines.filter(|line| line.starts_with("export ") && line.contains("_TOKEN=")).collect()
    }

    /// Runs the printed command that follows this line, after the exports.
    fn run(&self, heading: &str, variables: &[(&str, &str)]) -> Result<String> {
        let mut lines = self.printed.iter().skip_while(|line| !line.starts_with(heading)).skip(1);
        let mut command = String::new();
        for line in &mut lines {
            command.push_str(line.strip_suffix('\\').unwrap_or(line));
            if !line.ends_with('\\') {
                break;
            }
        }
        ensure!(command.contains("curl "), "there is no command after {heading:?}: {command:?}");
        let mut shell = Command::new("sh");
        shell.args(["-ec", &format!("{}\n{command}", self.exports().join("\n"))]);
        let Output { status, stdout, stderr } = shell.envs(variables.iter().copied()).output()?;
        ensure!(status.success(), "{command}: {}", String::from_utf8_lossy(&stderr));
        Ok(String::from_utf8(stdout)?)
    }

    /// The files with the key set below the temporary directory.
    fn key_sets(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.temp_dir.path()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().join(JWKS_FILE)).filter(|path| path.exists()).collect()
    }

    /// The arguments of all processes of this user, one process each.
    fn all_arguments() -> String {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        arguments.map(|bytes| String::from_utf8_lossy(&bytes).into_owned() + "\n").collect()
    }

    fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _reported_elsewhere = self.stop();
        }
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_answered_and_with_the_printed_ones_the_printed_commands_work()
-> Result<()> {
    let mut launcher = Launcher::start().await?;
    let names: Vec<_> = launcher.exports().iter().filter_map(|line| line.split([' ', '=']).nth(1)).collect();
    assert_eq!(names, TOKENS);
    nobody_may_call_without_a_token(&launcher).await?;
    the_printed_commands_work(&launcher)?;

    let arguments = Launcher::all_arguments();
    let token = |line: &&str| line.split('=').nth(1).map(str::to_owned);
    let shown = launcher.exports().iter().filter_map(token).find(|token| arguments.contains(token.as_str()));
    assert_eq!(shown, None, "a token is an argument of a process");
    let [key_set] = launcher.key_sets().try_into().map_err(|found| anyhow::anyhow!("{found:?}"))?;
    launcher.stop()?;
    assert!(!Path::new(&key_set).exists(), "{} was left", key_set.display());
    assert_eq!(fs::read_dir(launcher.temp_dir.path())?.count(), 0, "files were left");
    Ok(())
}

async fn nobody_may_call_without_a_token(launcher: &Launcher) -> Result<()> {
    let client = reqwest::Client::new();
    for (service, path) in [
        ("read-api", "/customers/alice/orders"),
        ("read-api", "/customers/alice/orders/stream"),
        ("read-api", "/orders"),
        ("revenue-projector", "/events"),
        ("revenue-api", "/revenue?by=month"),
        ("revenue-api", "/orders-by-sku"),
    ] {
        let status = client.get(format!("{}{path}", launcher.url(service)?)).send().await?.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{service}{path}");
    }
    let place = client.post(format!("{}/orders", launcher.url("write-api")?)).send().await?;
    assert_eq!(place.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

fn the_printed_commands_work(launcher: &Launcher) -> Result<()> {
    if !has_curl()? {
        return Ok(());
    }
    let placed = launcher.run("Place an order", &[])?;
    assert!(placed.starts_with("HTTP/1.1 201 "), "{placed}");
    let order_id = placed.split("\"order_id\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let paid = launcher.run("Pay it", &[("ORDER_ID", order_id.context("no order_id")?)])?;
    assert!(paid.starts_with("HTTP/1.1 200 ") && paid.contains(r#""status":"paid""#), "{paid}");
    let listed = launcher.run("See the order", &[])?;
    assert!(listed.starts_with("HTTP/1.1 200 "), "{listed}");
    let revenue = launcher.run("See the example's read model", &[])?;
    assert!(revenue.contains(r#""revenue_cents""#), "{revenue}");
    Ok(())
}
