//! HTTP load with wrk.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use testkit::services::ServiceKind;

use crate::program;

const COMMON: &str = include_str!("wrk/common.lua");
const PLACE_ORDERS: &str = include_str!("wrk/place_orders.lua");
const LIST_ORDERS: &str = include_str!("wrk/list_orders.lua");

/// One thread saturates two cores; a second would only take CPU time from the services. The rate is per thread.
pub(crate) const THREADS: u16 = 1;

/// Time for the last responses, if the run waits for all.
const LAST_RESPONSES_S: u64 = 1;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// `POST /orders`, three items, each a new order.
    PlaceOrders,
    /// `GET /customers/{customer_id}/orders?limit=20`.
    ListOrders(Customers),
}

/// The distribution of requests over customers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Customers {
    /// Customer k about 1/k as often as the first.
    Zipf(u32),
    /// All equally often.
    Uniform(u32),
}

/// The rate and length of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) connections: u16,
    pub(crate) time: Duration,
    /// Requests per second; 0 for as many as possible.
    pub(crate) per_second: u32,
    /// Whether the run waits for all responses to the requests sent in `time`. This costs wrk a little CPU time.
    /// Otherwise wrk drops the requests in flight at the end, one per connection at most.
    pub(crate) waits_for_all: bool,
}

impl Pace {
    /// As many requests as possible; waits for all responses.
    pub(crate) fn max_rate(connections: u16, time: Duration) -> Self {
        Self { connections, time, per_second: 0, waits_for_all: true }
    }

    /// A fixed rate; waits for all responses.
    pub(crate) fn at(per_second: u32, connections: u16, time: Duration) -> Self {
        Self { per_second, ..Self::max_rate(connections, time) }
    }
}

/// The result of a run without failures.
#[derive(Debug)]
pub(crate) struct LoadResult {
    time: Duration,
    summary: Summary,
}

/// The result that the script prints.
#[derive(Debug, Deserialize, PartialEq)]
struct Summary {
    sent: u64,
    requests: u64,
    bytes: u64,
    micros: u64,
    failed: u64,
    p50_micros: u64,
    p99_micros: u64,
}

impl LoadResult {
    pub(crate) fn requests(&self) -> u64 {
        self.summary.requests
    }

    pub(crate) fn per_second(&self) -> f64 {
        f64::from(u32::try_from(self.requests()).unwrap_or(u32::MAX)) / self.time.as_secs_f64()
    }

    pub(crate) fn whole_per_second(&self) -> u32 {
        u32::try_from(self.requests() / self.time.as_secs().max(1)).unwrap_or(u32::MAX)
    }

    /// Mean size of a response.
    pub(crate) fn bytes_each(&self) -> u64 {
        self.summary.bytes / self.requests().max(1)
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        Duration::from_micros(self.summary.p50_micros).as_secs_f64() * 1e3
    }

    /// wrk corrects for coordinated omission: for a response that takes longer than twice the mean interval between
    /// requests on its connection, it adds the requests that this response kept from being sent.
    pub(crate) fn p99_ms(&self) -> f64 {
        Duration::from_micros(self.summary.p99_micros).as_secs_f64() * 1e3
    }
}

/// Sends requests without a token to `url`.
///
/// # Errors
///
/// If wrk cannot run, a request failed, or a response is missing although the run waits for all.
pub(crate) async fn run(load: Load, pace: Pace, url: &str) -> Result<LoadResult> {
    run_with_tokens(load, &[], pace, url).await
}

/// The same, each request with the next of these tokens, and again from the first.
pub(crate) async fn run_with_tokens(
    load: Load,
    tokens: &[String],
    pace: Pace,
    url: &str,
) -> Result<LoadResult> {
    let script = tempfile::NamedTempFile::with_suffix(".lua")?;
    std::fs::write(script.path(), [COMMON, load.script()].concat())?;
    let one_a_line = tempfile::NamedTempFile::new()?;
    std::fs::write(one_a_line.path(), tokens.join("\n"))?;
    let seconds = pace.time.as_secs().max(1);
    let until = if pace.waits_for_all { seconds + LAST_RESPONSES_S } else { seconds };
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
        .args(
            [u64::from(pace.per_second), if pace.waits_for_all { seconds } else { 0 }].map(|n| n.to_string()),
        )
        .arg(fastrand::u32(..).to_string())
        .arg(one_a_line.path())
        .args(load.arguments());
    let output = program::run(command, Duration::from_secs(until)).await?;
    let summary = parse(&output).with_context(|| format!("wrk printed: {output}"))?;
    summary.check(if pace.waits_for_all { 0 } else { pace.connections })?;
    let time =
        if pace.waits_for_all { Duration::from_secs(seconds) } else { Duration::from_micros(summary.micros) };
    Ok(LoadResult { time, summary })
}

impl Load {
    /// The service that gets it.
    pub(crate) fn service(self) -> ServiceKind {
        match self {
            Self::PlaceOrders => ServiceKind::WriteApi,
            Self::ListOrders(_) => ServiceKind::ReadApi,
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::PlaceOrders => PLACE_ORDERS,
            Self::ListOrders(_) => LIST_ORDERS,
        }
    }

    fn arguments(self) -> Vec<String> {
        match self {
            Self::PlaceOrders => Vec::new(),
            Self::ListOrders(Customers::Zipf(customers)) => vec!["zipf".to_owned(), customers.to_string()],
            Self::ListOrders(Customers::Uniform(customers)) => {
                vec!["uniform".to_owned(), customers.to_string()]
            }
        }
    }
}

impl Summary {
    /// Up to `in_flight` responses may be missing.
    fn check(&self, in_flight: u16) -> Result<()> {
        let Self { sent, requests, failed, .. } = self;
        ensure!(*failed == 0, "{failed} of {sent} requests failed");
        ensure!(*requests > 0, "there was no response");
        let missing = sent.checked_sub(*requests);
        let is_complete = missing.is_some_and(|missing| missing <= in_flight.into());
        ensure!(is_complete, "{sent} requests got {requests} responses");
        Ok(())
    }
}

fn parse(output: &str) -> Result<Summary> {
    let line = output.lines().find_map(|line| line.strip_prefix("RESULT ")).context("no result")?;
    Ok(serde_json::from_str(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: Summary = Summary {
        sent: 3_000,
        requests: 3_000,
        bytes: 6_000,
        micros: 2_000_000,
        failed: 0,
        p50_micros: 800,
        p99_micros: 4_200,
    };

    #[test]
    fn the_result_is_found_in_the_output_of_wrk() {
        let output = "Running 1s test\nRESULT {\"sent\": 3001, \"requests\": 3000, \"bytes\": 6000, \
                      \"micros\": 2000000, \"failed\": 1, \"p50_micros\": 800, \"p99_micros\": 4200}\n";
        assert_eq!(parse(output).unwrap(), Summary { sent: 3_001, failed: 1, ..SUMMARY });
        assert!(parse("Running 1s test\n").is_err());
        let result = LoadResult { time: Duration::from_secs(2), summary: SUMMARY };
        assert!((result.per_second() - 1500.0).abs() < 1e-9);
        assert!((result.p99_ms() - 4.2).abs() < 1e-9);
        assert_eq!((result.whole_per_second(), result.bytes_each()), (1500, 2));
    }

    #[test]
    fn a_failed_request_or_a_missing_response_is_an_error() {
        assert!(SUMMARY.check(0).is_ok());
        assert!(Summary { failed: 1, ..SUMMARY }.check(64).is_err());
        assert!(Summary { sent: 0, requests: 0, ..SUMMARY }.check(0).is_err());
        assert!(Summary { sent: 2_999, ..SUMMARY }.check(64).is_err());
        let one_is_missing = Summary { sent: 3_001, ..SUMMARY };
        assert!(one_is_missing.check(0).is_err());
        assert!(one_is_missing.check(1).is_ok(), "it was in flight at the end");
    }
}
