//! A log that nobody reads for a while stops commands, and nothing else.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use testkit::test_database::TestDatabase;
use testkit::wait;

use super::failing_log::start;
use crate::support::order;

const SOON: Duration = Duration::from_secs(30);

/// The addresses of the API and of its probes.
fn addresses(log: &mut BufReader<ChildStdout>) -> Result<[String; 2]> {
    let mut found = [None, None];
    loop {
        let mut line = String::new();
        log.read_line(&mut line)?;
        let line: Value = serde_json::from_str(&line)?;
        for (found, name) in found.iter_mut().zip(["http.address", "admin.address"]) {
            *found = line
                .get(name)
                .and_then(Value::as_str)
                .map(|address| format!("http://{address}"))
                .or(found.take());
        }
        if let [Some(api), Some(admin)] = &mut found {
            return Ok([api, admin].map(std::mem::take));
        }
    }
}

/// The order that a command has placed, and the response otherwise.
async fn place(client: &Client, api: &str) -> Result<Result<String, StatusCode>> {
    let response = client.post(format!("{api}/orders")).json(&order()).send().await?;
    let status = response.status();
    if status != StatusCode::CREATED {
        return Ok(Err(status));
    }
    let placed: Value = response.json().await?;
    Ok(Ok(placed.get("order_id").and_then(Value::as_str).context("no order_id")?.to_owned()))
}

/// Places orders until `is_enough`, and returns their ids.
async fn place_until(
    client: &Client,
    api: &str,
    is_enough: impl Fn(&Result<String, StatusCode>) -> bool,
) -> Result<Vec<String>> {
    let mut placed = Vec::new();
    let placing = async {
        loop {
            let outcome = place(client, api).await?;
            let ends = is_enough(&outcome);
            placed.extend(outcome);
            if ends {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(SOON, placing).await.context("still not")??;
    Ok(placed)
}

async fn status(client: &Client, url: &str) -> Result<StatusCode> {
    Ok(client.get(url).timeout(Duration::from_secs(5)).send().await?.status())
}

#[tokio::test]
async fn while_nobody_reads_the_log_commands_are_refused_and_nothing_is_lost() -> Result<()> {
    let database = TestDatabase::create().await?;
    let mut process = start(&database, 0, Stdio::piped())?;
    let mut log = BufReader::new(process.0.stdout.take().context("no log")?);
    let [api, admin] = addresses(&mut log)?;
    let client = Client::new();
    let ready = |expected: StatusCode| {
        let (client, url) = (&client, format!("{admin}/readyz"));
        wait::until("readiness", SOON, move || {
            let url = url.clone();
            async move {
                let found = status(client, &url).await.map_err(|error| error.to_string())?;
                if found == expected { Ok(()) } else { Err(found.to_string()) }
            }
        })
    };
    ready(StatusCode::OK).await?;

    // Until the pipe is full.
    let unavailable = Err(StatusCode::SERVICE_UNAVAILABLE);
    let mut acknowledged = place_until(&client, &api, |outcome| *outcome == unavailable).await?;
    assert_eq!(place(&client, &api).await?, unavailable);
    ready(StatusCode::SERVICE_UNAVAILABLE).await?;
    assert_eq!(status(&client, &format!("{admin}/livez")).await?, StatusCode::OK);
    assert_eq!(status(&client, &format!("{api}/openapi.json")).await?, StatusCode::OK);

    let reading = std::thread::spawn(move || log.lines().collect::<Result<Vec<_>, _>>());
    ready(StatusCode::OK).await?;
    acknowledged.extend(place_until(&client, &api, Result::is_ok).await?);
    // At once after a response: the end of the process writes what is left.
    kill(Pid::from_raw(process.0.id().try_into()?), Signal::SIGTERM)?;
    let lines = tokio::task::spawn_blocking(move || reading.join()).await?;
    let lines = lines.map_err(|_| anyhow::anyhow!("the reader has panicked"))??;
    let mut recorded = HashSet::new();
    for line in lines {
        let line: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if line["target"] == "audit" && line["outcome"] == "done" {
            recorded.insert(line["order.id"].as_str().context("no order.id")?.to_owned());
        }
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    assert_eq!(recorded, acknowledged.into_iter().collect());
    Ok(())
}
