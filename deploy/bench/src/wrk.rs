//! HTTP load, by wrk.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::program;

const COMMON: &str = include_str!("wrk/common.lua");
const PLACE_ORDERS: &str = include_str!("wrk/place_orders.lua");
const LIST_ORDERS: &str = include_str!("wrk/list_orders.lua");

/// One asks for more than two cores can answer; another would only take time from what is measured. The pace is a
/// thread's.
pub(crate) const THREADS: u16 = 1;

/// How long the last answers may take where all are waited for.
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
    /// Whether nothing is sent in the end until all has been answered, and everything counts that was sent in `time`.
    /// This costs wrk 1.5 µs a request. Otherwise it drops those that are under way when time is up, one a connection
    /// at most.
    pub(crate) until_answered: bool,
}

impl Pace {
    /// As many requests as possible, and all of them answered.
    pub(crate) fn flat_out(connections: u16, time: Duration) -> Self {
        Self { connections, time, per_second: 0, until_answered: true }
    }

    /// So many requests a second, and all of them answered.
    pub(crate) fn at(per_second: u32, connections: u16, time: Duration) -> Self {
        Self { per_second, ..Self::flat_out(connections, time) }
    }
}

/// What came of it. No request failed.
#[derive(Debug)]
pub(crate) struct Answered {
    time: Duration,
    said: Said,
}

/// What the script says in the end.
#[derive(Debug, Deserialize, PartialEq)]
struct Said {
    sent: u64,
    requests: u64,
    bytes: u64,
    micros: u64,
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

    /// From when a request is sent. For each that took longer than twice what passes between two on its connection, on
    /// average, wrk adds those that it has kept from being sent.
    pub(crate) fn p99_ms(&self) -> f64 {
        Duration::from_micros(self.said.p99_micros).as_secs_f64() * 1e3
    }
}

/// Sends requests to `url` for a while.
///
/// # Errors
///
/// When wrk cannot be run, or any request failed, or was not answered where all are waited for.
pub(crate) async fn run(load: Load, pace: Pace, url: &str) -> Result<Answered> {
    let script = tempfile::NamedTempFile::with_suffix(".lua")?;
    std::fs::write(script.path(), [COMMON, load.script()].concat())?;
    let seconds = pace.time.as_secs().max(1);
    let until = if pace.until_answered { seconds + LAST_ANSWERS_S } else { seconds };
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
            [u64::from(pace.per_second), if pace.until_answered { seconds } else { 0 }]
                .map(|n| n.to_string()),
        )
        .arg(fastrand::u32(..).to_string())
        .args(load.arguments());
    let said = program::run(command, Duration::from_secs(until)).await?;
    let said = parse(&said).with_context(|| format!("wrk said: {said}"))?;
    said.check(if pace.until_answered { 0 } else { pace.connections })?;
    let time =
        if pace.until_answered { Duration::from_secs(seconds) } else { Duration::from_micros(said.micros) };
    Ok(Answered { time, said })
}

impl Load {
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

impl Said {
    /// Up to `under_way` requests may be without an answer.
    fn check(&self, under_way: u16) -> Result<()> {
        let Self { sent, requests, failed, .. } = self;
        ensure!(*failed == 0, "{failed} of {sent} requests failed");
        ensure!(*requests > 0, "no request was answered");
        let unanswered = sent.checked_sub(*requests);
        let is_complete = unanswered.is_some_and(|unanswered| unanswered <= under_way.into());
        ensure!(is_complete, "of {sent} requests {requests} were answered");
        Ok(())
    }
}

fn parse(said: &str) -> Result<Said> {
    let line = said.lines().find_map(|line| line.strip_prefix("RESULT ")).context("no result")?;
    Ok(serde_json::from_str(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: Said = Said {
        sent: 3_000,
        requests: 3_000,
        bytes: 6_000,
        micros: 2_000_000,
        failed: 0,
        p50_micros: 800,
        p99_micros: 4_200,
    };

    #[test]
    fn the_result_is_found_among_what_wrk_says() {
        let said = "Running 1s test\nRESULT {\"sent\": 3001, \"requests\": 3000, \"bytes\": 6000, \"micros\": 2000000, \
                    \"failed\": 1, \"p50_micros\": 800, \"p99_micros\": 4200}\n";
        assert_eq!(parse(said).unwrap(), Said { sent: 3_001, failed: 1, ..SAID });
        assert!(parse("Running 1s test\n").is_err());
        let answered = Answered { time: Duration::from_secs(2), said: SAID };
        assert!((answered.per_second() - 1500.0).abs() < 1e-9);
        assert!((answered.p99_ms() - 4.2).abs() < 1e-9);
        assert_eq!((answered.whole_per_second(), answered.bytes_each()), (1500, 2));
    }

    #[test]
    fn there_is_no_result_where_a_request_failed_or_has_no_answer() {
        assert!(SAID.check(0).is_ok());
        assert!(Said { failed: 1, ..SAID }.check(64).is_err());
        assert!(Said { sent: 0, requests: 0, ..SAID }.check(0).is_err());
        assert!(Said { sent: 2_999, ..SAID }.check(64).is_err());
        let one_is_missing = Said { sent: 3_001, ..SAID };
        assert!(one_is_missing.check(0).is_err());
        assert!(one_is_missing.check(1).is_ok(), "it was under way when time was up");
    }
}
