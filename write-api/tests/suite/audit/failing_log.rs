//! Without a log, no command is carried out.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use testkit::ports;
use testkit::process::bind_to_this_thread;
use testkit::test_database::TestDatabase;
use testkit::wait;

use super::PROGRAM;
use crate::support::{order, problem};

/// A process that is killed when dropped.
pub(super) struct Killed(pub(super) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _already_ended = self.0.kill();
        let _status = self.0.wait();
    }
}

pub(super) fn start(database: &TestDatabase, port: u16, log: Stdio) -> Result<Killed> {
    start_at(database, port, 0, log)
}

fn start_at(database: &TestDatabase, port: u16, admin_port: u16, log: Stdio) -> Result<Killed> {
    let mut command = Command::new(PROGRAM);
    command
        .env("DATABASE_URL", database.url("orders_write_api"))
        .env("AUTH", "off")
        .env("API_DOCS", "on")
        .env("BIND_ADDRESS", "127.0.0.1")
        .env("PORT", port.to_string())
        .env("ADMIN_PORT", admin_port.to_string())
        .env("SHUTDOWN_DELAY_MS", "0")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::piped());
    bind_to_this_thread(&mut command, Signal::SIGKILL);
    Ok(Killed(command.spawn()?))
}

async fn stored(database: &TestDatabase) -> Result<i64> {
    Ok(database.connect().await?.query_one("SELECT count(*) FROM orders", &[]).await?.get(0))
}

#[tokio::test]
async fn while_the_disk_of_the_log_is_full_commands_are_refused() -> Result<()> {
    let database = TestDatabase::create().await?;
    let [port, admin_port] = [ports::free()?, ports::free()?];
    let full = File::options().write(true).open("/dev/full")?;
    let _api = start_at(&database, port, admin_port, full.into())?;
    let client = reqwest::Client::new();
    let url = format!("http://127.0.0.1:{port}/orders");
    let response = wait::until("a response", Duration::from_secs(20), || async {
        client.post(&url).json(&order()).send().await
    })
    .await?;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem = problem(response).await?;
    assert_eq!(problem["type"], "/problems/unavailable");
    assert!(problem.to_string().contains("recorded"), "{problem}");
    assert_eq!(stored(&database).await?, 0);
    let metrics = client.get(format!("http://127.0.0.1:{admin_port}/metrics")).send().await?.text().await?;
    assert!(metrics.contains("\norders_log_writable 0\n"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_process_whose_log_nobody_reads_ends_with_an_error() -> Result<()> {
    let database = TestDatabase::create().await?;
    let mut api = start(&database, 0, Stdio::piped())?;
    let mut log = BufReader::new(api.0.stdout.take().context("no log")?);
    let address = loop {
        let mut line = String::new();
        log.read_line(&mut line)?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        if let Some(address) = line["http.address"].as_str() {
            break address.to_owned();
        }
    };
    drop(log);
    // The line of the first command at the latest shows that the pipe is closed.
    let _stored_or_refused =
        reqwest::Client::new().post(format!("http://{address}/orders")).json(&order()).send().await;
    let status = wait::until("the end", Duration::from_secs(20), || {
        std::future::ready(api.0.try_wait().ok().flatten().ok_or("running"))
    })
    .await?;
    let mut said = String::new();
    api.0.stderr.take().context("no stderr")?.read_to_string(&mut said)?;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the log cannot be written") && said.contains("has died"), "{said}");
    Ok(())
}
