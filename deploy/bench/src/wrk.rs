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
#[derive(Debug, Deserialize)]
pub(crate) struct Answered {
    pub(crate) requests: u64,
    micros: u64,
    failed: u64,
    p50_micros: u64,
    p99_micros: u64,
}

impl Answered {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests_f64() / Duration::from_micros(self.micros).as_secs_f64()
    }

    pub(crate) fn whole_per_second(&self) -> u32 {
        u32::try_from(self.requests * 1_000_000 / self.micros.max(1)).unwrap_or(u32::MAX)
    }

    fn requests_f64(&self) -> f64 {
        u32::try_from(self.requests).map_or(f64::INFINITY, f64::from)
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        Duration::from_micros(self.p50_micros).as_secs_f64() * 1e3
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        Duration::from_micros(self.p99_micros).as_secs_f64() * 1e3
    }
}

/// Sends requests to `url` for a while. When time is up, wrk hangs up on requests that are under way, at most one a
/// connection; they are not counted.
///
/// # Errors
///
/// When wrk cannot be run, or any request failed.
pub(crate) async fn run(load: Load, pace: Pace, url: &str) -> Result<Answered> {
    let script = tempfile::NamedTempFile::with_suffix(".lua")?;
    let own = match load {
        Load::PlaceOrders => PLACE_ORDERS,
        Load::ListOrders(_) => LIST_ORDERS,
    };
    std::fs::write(script.path(), [COMMON, own].concat())?;
    let mut command = Command::new("wrk");
    command
        .arg(format!("--threads={THREADS}"))
        .arg(format!("--connections={}", pace.connections))
        .arg(format!("--duration={}s", pace.time.as_secs().max(1)))
        .arg("--timeout=10s")
        .arg("--script")
        .arg(script.path())
        .arg(url)
        .arg("--")
        .arg(pace.per_second.to_string());
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
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {said}{}", String::from_utf8_lossy(&output.stderr));
    let answered = parse(&said).with_context(|| format!("wrk said: {said}"))?;
    ensure!(answered.failed == 0, "{} requests failed; wrk said: {said}", answered.failed);
    ensure!(answered.requests > 0, "no request was answered");
    Ok(answered)
}

fn parse(said: &str) -> Result<Answered> {
    let line = said.lines().find_map(|line| line.strip_prefix("RESULT ")).context("no result")?;
    Ok(serde_json::from_str(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_found_among_what_wrk_says() {
        let said = "Running 1s test\nRESULT {\"requests\": 3000, \"micros\": 1500000, \"failed\": 1, \
                    \"p50_micros\": 800, \"p99_micros\": 4200}\n";
        let answered = parse(said).unwrap();
        assert!((answered.per_second() - 2000.0).abs() < 1e-9);
        assert!((answered.p99_ms() - 4.2).abs() < 1e-9);
        assert_eq!(answered.failed, 1);
        assert!(parse("Running 1s test\n").is_err());
    }
}
