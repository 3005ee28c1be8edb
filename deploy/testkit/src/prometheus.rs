//! Prometheus, if it is installed.

use std::fmt::Write;
use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::ports;
use crate::process::{self, spawn_bound};
use crate::wait::{self, TimedOut};

const PROGRAM: &str = "prometheus";
const LIMIT: Duration = Duration::from_secs(30);

/// What a test says that needs it.
pub const MISSING: &str = "no Prometheus: install Debian's package `prometheus`";

/// How often it scrapes.
pub const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// A running Prometheus. Dropping it stops it.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    url: String,
    client: reqwest::Client,
    _dir: tempfile::TempDir,
}

#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    #[error("Prometheus cannot be started")]
    Start(#[from] io::Error),
    #[error("Prometheus is not ready")]
    NotReady(#[from] TimedOut),
    #[error("Prometheus cannot be asked")]
    Ask(#[from] reqwest::Error),
    /// It is not a query.
    #[error("Prometheus refuses {query}: {reason}")]
    Refused { query: String, reason: String },
}

impl Prometheus {
    /// Starts it on a free port of 127.0.0.1. It scrapes each target, `host:port`, as the job beside it. `None` if it
    /// is not installed. Bound to the calling thread.
    ///
    /// # Errors
    ///
    /// [`PrometheusError`]; also if `REQUIRE_PROMTOOL` is set and it is not installed: one package has both.
    pub async fn start(targets: &[(&str, &str)]) -> Result<Option<Self>, PrometheusError> {
        if Command::new(PROGRAM).arg("--version").stderr(Stdio::null()).output().is_err() {
            if std::env::var_os("REQUIRE_PROMTOOL").is_some() {
                return Err(io::Error::new(io::ErrorKind::NotFound, MISSING).into());
            }
            return Ok(None);
        }
        let dir = tempfile::tempdir()?;
        let port = ports::free()?;
        let config = dir.path().join("prometheus.yml");
        fs::write(&config, configuration(targets))?;
        let log = fs::File::create(dir.path().join("log"))?;
        let mut command = Command::new(PROGRAM);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = spawn_bound(&mut command, Signal::SIGTERM)?;
        let url = format!("http://127.0.0.1:{port}");
        let prometheus = Self { child, url, client: reqwest::Client::new(), _dir: dir };
        prometheus.wait_until_ready().await?;
        Ok(Some(prometheus))
    }

    async fn wait_until_ready(&self) -> Result<(), TimedOut> {
        wait::until("Prometheus", LIMIT, async || {
            let response = self.client.get(format!("{}/-/ready", self.url)).send().await;
            response
                .and_then(reqwest::Response::error_for_status)
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await
    }

    /// The samples that `query` has now: an array, each with `metric` and `value`.
    ///
    /// # Errors
    ///
    /// [`PrometheusError::Refused`] if it does not parse.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, PrometheusError> {
        let query_escaped = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let url = format!("{}/api/v1/query?query={query_escaped}", self.url);
        let response = self.client.get(url).send().await?;
        let mut answer: Value = response.json().await?;
        match answer.pointer_mut("/data/result").map(Value::take) {
            Some(Value::Array(samples)) => Ok(samples),
            // A number or a text, of which there is always one.
            Some(single) => Ok(vec![single]),
            None => Err(PrometheusError::Refused { query: query.to_owned(), reason: answer.to_string() }),
        }
    }
}

fn configuration(targets: &[(&str, &str)]) -> String {
    let mut text = format!("global:\n  scrape_interval: {}s\nscrape_configs:\n", SCRAPE_EVERY.as_secs());
    for (job, target) in targets {
        let _to_memory_never_fails =
            write!(text, "  - job_name: {job}\n    static_configs:\n      - targets: ['{target}']\n");
    }
    text
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _killed_after_the_limit = process::stop(&mut self.child, Signal::SIGTERM, LIMIT);
    }
}
