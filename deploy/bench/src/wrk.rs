//! HTTP load, by wrk.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

const COMMON: &str = include_str!("wrk/common.lua");
const PLACE_ORDERS: &str = include_str!("wrk/place_orders.lua");
const LIST_ORDERS: &str = include_str!("wrk/list_orders.lua");

/// One asks for more than two cores can answer; another would only take time from what is measured. The pace is a thread's.
const THREADS: u16 = 1;

/// How long the last answers to orders may take.
const LAST_ANSWERS_S: u64 = 1;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// `POST /orders`, three items, each a new order.
    PlaceOrders,
    /// `GET /customers/{customer_id}/orders?limit=20`.
    ListOrders(Customers),
}

/// Which customers are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Customers {
    /// Customer k of so many about 1/k as often as the first.
    Zipf(u32),
    /// Each of so many as often as any other.
    Uniform(u32),
}

/// How it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) connections: u16,
    pub(crate) time: Duration,
    /// Requests a second; 0 for as many as possible.
    pub(crate) per_second: u32,
}

/// What came of it. No request failed.
#[derive(Debug)]
pub(crate) struct Answered {
    time: Duration,
    said: Said,
}

/// What the script says in the end.
#[derive(Debug, Deserialize)]
struct Said {
    requests: u64,
    bytes: u64,
    failed: u64,
    p50_micros: u64,
    p99_micros: u64,
}

impl Answered {
    pub(crate) fn requests(&self) -> u64 {
        self.said.requests
    }

    pub(crate) fn per_second(&self) -> f64 {
        f64::from(u32::try_from(self.requests()).unwrap_or(u32::MAX)) / self.time.as_secs_f64()
    }

    pub(crate) fn whole_per_second(&self) -> u32 {
        u32::try_from(self.requests() / self.time.as_secs().max(1)).unwrap_or(u32::MAX)
    }

    /// How long an answer is, on average.
    pub(crate) fn bytes_each(&self) -> u64 {
        self.said.bytes / self.requests().max(1)
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        Duration::from_micros(self.said.p50_micros).as_secs_f64() * 1e3
    }

    /// From when a request is sent. Where requests follow upon answers wrk adds those that a slow one has kept from being sent.
    pub(crate) fn p99_ms(&self) -> f64 {
        Duration::from_micros(self.said.p99_micros).as_secs_f64() * 1e3
    }
}

/// Sends requests to `url` for a while. All orders that were placed have been answered in the end. Of lists wrk drops those
/// that are under way when time is up.
///
/// # Errors
///
/// When wrk cannot be run, or any request failed as far as wrk can tell: one on a connection that was closed without an answer
/// is sent again and not counted.
pub(crate) async fn run(load: Load, pace: Pace, url: &str) -> Result<Answered> {
    let script = tempfile::NamedTempFile::with_suffix(".lua")?;
    let own = match load {
        Load::PlaceOrders => PLACE_ORDERS,
        Load::ListOrders(_) => LIST_ORDERS,
    };
    std::fs::write(script.path(), [COMMON, own].concat())?;
    let seconds = pace.time.as_secs().max(1);
    let until = match load {
        Load::PlaceOrders => seconds + LAST_ANSWERS_S,
        Load::ListOrders(_) => seconds,
    };
    let mut command = Command::new("wrk");
    command
        .arg(format!("--threads={THREADS}"))
        .arg(format!("--connections={}", pace.connections))
        .arg(format!("--duration={until}s"))
        .arg("--timeout=10s")
        .arg("--script")
        .arg(script.path())
        .arg(url)
        .arg("--")
        .args([pace.per_second, u32::try_from(seconds)?, fastrand::u32(..)].map(|number| number.to_string()));
    match load {
        Load::PlaceOrders => {}
        Load::ListOrders(Customers::Zipf(customers)) => {
            command.args(["zipf", &customers.to_string()]);
        }
        Load::ListOrders(Customers::Uniform(customers)) => {
            command.args(["uniform", &customers.to_string()]);
        }
    }
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("wrk cannot be run (Debian's package `wrk` has it)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    let said = parse(&text).with_context(|| format!("wrk said: {text}"))?;
    ensure!(said.failed == 0, "{} requests failed; wrk said: {text}", said.failed);
    ensure!(said.requests > 0, "no request was answered");
    Ok(Answered { time: Duration::from_secs(seconds), said })
}

fn parse(said: &str) -> Result<Said> {
    let line = said.lines().find_map(|line| line.strip_prefix("RESULT ")).context("no result")?;
    Ok(serde_json::from_str(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_found_among_what_wrk_says() {
        let said = "Running 1s test\nRESULT {\"requests\": 3000, \"bytes\": 6000, \"failed\": 1, \
                    \"p50_micros\": 800, \"p99_micros\": 4200}\n";
        let said = parse(said).unwrap();
        assert_eq!(said.failed, 1);
        let answered = Answered { time: Duration::from_secs(2), said };
        assert!((answered.per_second() - 1500.0).abs() < 1e-9);
        assert!((answered.p99_ms() - 4.2).abs() < 1e-9);
        assert_eq!((answered.whole_per_second(), answered.bytes_each()), (1500, 2));
        assert!(parse("Running 1s test\n").is_err());
    }
}
