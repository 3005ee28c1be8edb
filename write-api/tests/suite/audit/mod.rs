//! One line in the log for each command.

mod callers;
mod failing_log;
mod outcomes;
mod stalled_log;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use testkit::services::{Service, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;

const PROGRAM: &str = env!("CARGO_BIN_EXE_write-api");

/// A write-api as a process, and its log.
struct Audited {
    service: Service,
    database: TestDatabase,
    client: reqwest::Client,
    log: PathBuf,
    _logs: TempDir,
}

impl Audited {
    async fn start(vars: &[(&str, &str)]) -> Result<Self> {
        let database = TestDatabase::create().await?;
        let logs = tempfile::tempdir()?;
        let url = database.url("orders_write_api");
        let program = Path::new(PROGRAM);
        let mut service = Service::start_with(vars, ServiceKind::WriteApi, program, &url, 0, logs.path())?;
        service.wait_until_ready().await?;
        let log = logs.path().join(format!("{}.log", ServiceKind::WriteApi.name()));
        Ok(Self { service, database, client: reqwest::Client::new(), log, _logs: logs })
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.service.url()))
    }

    /// All lines so far.
    fn lines(&self) -> Result<Vec<Value>> {
        let log = std::fs::read_to_string(&self.log)?;
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok(lines.filter(|line: &Value| line["target"] == "audit").collect())
    }

    /// The line of this request. There is exactly one.
    async fn line_of(&self, request_id: &str) -> Result<Value> {
        let found = wait::until("the line of a command", Duration::from_secs(30), || async {
            let lines = self.lines().map_err(|error| error.to_string())?;
            let mut found = lines.into_iter().filter(|line| line["request.id"] == request_id);
            match (found.next(), found.next()) {
                (Some(line), None) => Ok(line),
                (first, second) => Err(format!("{request_id}: {first:?}, {second:?}")),
            }
        });
        Ok(found.await?)
    }
}

fn request_id(response: &Response) -> String {
    response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}
