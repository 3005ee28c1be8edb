//! The three real services as child processes.

mod binaries;
mod kind;
mod launcher;
mod operator;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use uuid::Uuid;

pub use self::binaries::{BinariesError, ServiceBinaries, build_program};
pub use self::kind::ServiceKind;
pub use self::launcher::launcher_on_free_ports;
pub use self::operator::{Operator, OperatorError};
use crate::process::{self, last_lines, spawn_bound};
use crate::wait::{self, TimedOut};

const READY_LIMIT: Duration = Duration::from_secs(20);
/// Longer than the 25 s in which a service stops.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running service. It is killed when dropped, and ended when the thread that started it ends.
#[derive(Debug)]
pub struct Service {
    kind: ServiceKind,
    child: Child,
    log: PathBuf,
    /// Where the lines of this process begin in the log.
    log_start: u64,
    /// Empty before it is ready.
    url: String,
    /// Empty before it is ready.
    admin_url: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("{service} cannot be started")]
    Start {
        service: &'static str,
        #[source]
        source: io::Error,
    },
    /// It ended, or did not become ready.
    #[error("{service} did not become ready; its log ends with:\n{log}")]
    NotReady {
        service: &'static str,
        /// The end of its log.
        log: String,
        #[source]
        source: TimedOut,
    },
    /// It did not stop in time, and was killed.
    #[error("{service} had to be killed")]
    Stuck {
        service: &'static str,
        #[source]
        source: TimedOut,
    },
}

impl Service {
    /// Starts the service's `program`. Its API listens on 127.0.0.1 at `port` (0 for any free port), probes and metrics
    /// at a free port. It logs to a file in `log_dir`.
    pub fn start(
        kind: ServiceKind,
        program: &Path,
        database_url: &str,
        port: u16,
        log_dir: &Path,
    ) -> Result<Self, ServiceError> {
        Self::start_with(&[], kind, program, database_url, port, log_dir)
    }

    /// The same with additional or changed environment variables, each as name and value.
    pub fn start_with(
        variables: &[(&str, &str)],
        kind: ServiceKind,
        program: &Path,
        database_url: &str,
        port: u16,
        log_dir: &Path,
    ) -> Result<Self, ServiceError> {
        let log = log_dir.join(format!("{}.log", kind.name()));
        let start = || -> io::Result<(Child, u64)> {
            let out = File::options().create(true).append(true).open(&log)?;
            let log_start = out.metadata()?.len();
            let mut command = Command::new(program);
            // Those of the person who runs this would be mixed with those given here.
            for (name, _) in std::env::vars_os() {
                let name_bytes = name.as_encoded_bytes();
                if [&b"AUTH_"[..], b"RATE_LIMIT_"].iter().any(|prefix| name_bytes.starts_with(prefix)) {
                    command.env_remove(name);
                }
            }
            command
                .env("ADMIN_PORT", "0")
                .env("AUTH", "off")
                .env("API_DOCS", "on")
                .env("SHUTDOWN_DELAY_MS", "0")
                .env("DATABASE_URL", database_url)
                .env("BIND_ADDRESS", "127.0.0.1")
                .env("PORT", port.to_string())
                .env("CURSOR_KEY", cursor_key())
                .envs(variables.iter().copied());
            // The log line with the address must always be there, as JSON.
            command
                .env("RUST_LOG", format!("{},service_kit::http=info", log_filter(variables)))
                .env("LOG_FORMAT", "json");
            command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
            // SIGTERM: it finishes requests in flight even if the launcher was killed.
            Ok((spawn_bound(&mut command, Signal::SIGTERM)?, log_start))
        };
        let (child, log_start) =
            start().map_err(|source| ServiceError::Start { service: kind.name(), source })?;
        Ok(Self { kind, child, log, log_start, url: String::new(), admin_url: String::new() })
    }

    /// Waits until it has logged its addresses and `/readyz` returns 200.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NotReady`] with the end of its log, after 20 s or when it has ended.
    pub async fn wait_until_ready(&mut self) -> Result<(), ServiceError> {
        let client = reqwest::Client::new();
        let ready = wait::until("readiness", READY_LIMIT, || {
            let ended = self.child.try_wait().ok().flatten();
            // From its own log: another process may listen at the requested port.
            let urls = self.own_urls();
            let client = &client;
            async move {
                match (ended, urls) {
                    (Some(status), _) => Ok(Err(status)),
                    (None, None) => Err("no address yet".to_owned()),
                    (None, Some((url, admin_url))) => {
                        let response = client.get(format!("{admin_url}/readyz")).send().await;
                        let response = response.and_then(reqwest::Response::error_for_status);
                        response.map(|_| Ok((url, admin_url))).map_err(|error| error.to_string())
                    }
                }
            }
        });
        let source = match ready.await {
            Ok(Ok((url, admin_url))) => {
                // By now it has logged both.
                (self.url, self.admin_url) = self.own_urls().unwrap_or((url, admin_url));
                return Ok(());
            }
            Ok(Err(status)) => TimedOut {
                what: "readiness".into(),
                waited: Duration::ZERO,
                last_seen: format!("it ended: {status}"),
            },
            Err(timed_out) => timed_out,
        };
        Err(ServiceError::NotReady { service: self.kind.name(), log: last_lines(&self.log), source })
    }

    /// The URLs of its API and of its probes, from the log lines of `service_kit::http`.
    fn own_urls(&self) -> Option<(String, String)> {
        let log = fs::read(&self.log).ok()?;
        let own = log.get(usize::try_from(self.log_start).ok()?..)?;
        let url = |field: &str| {
            own.split(|byte| *byte == b'\n').find_map(|line| {
                let line: serde_json::Value = serde_json::from_slice(line).ok()?;
                Some(format!("http://{}", line.get(field)?.as_str()?))
            })
        };
        let api = match self.kind {
            ServiceKind::WriteApi | ServiceKind::ReadApi | ServiceKind::RevenueApi => url("http.address")?,
            // Older builds of the projector have no API.
            ServiceKind::Projector | ServiceKind::RevenueProjector => url("http.address").unwrap_or_default(),
        };
        Some((api, url("admin.address")?))
    }

    /// The URL of its API; empty before it is ready.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of its probes and metrics; empty before it is ready.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    #[must_use]
    pub fn kind(&self) -> ServiceKind {
        self.kind
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn terminate(&self) {
        process::send(&self.child, Signal::SIGTERM);
    }

    /// Stops it with SIGTERM, and waits for its end.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Stuck`] if it had to be killed after 30 s.
    pub fn stop(mut self) -> Result<ExitStatus, ServiceError> {
        process::stop(&mut self.child, Signal::SIGTERM, STOP_LIMIT)
            .map_err(|source| ServiceError::Stuck { service: self.kind.name(), source })
    }

    /// Kills it with SIGKILL, as in a crash.
    pub fn kill(mut self) {
        process::kill_now(&mut self.child);
    }
}

/// One key for all read-apis that this process starts: they are replicas.
fn cursor_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    let random = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    KEY.get_or_init(|| std::env::var("CURSOR_KEY").unwrap_or_else(|_| random()))
}

impl Drop for Service {
    fn drop(&mut self) {
        process::kill_now(&mut self.child);
    }
}

/// `RUST_LOG` of these variables, or else of this process.
fn log_filter(variables: &[(&str, &str)]) -> String {
    let given =
        variables.iter().find(|(name, _)| *name == "RUST_LOG").map(|(_, filter)| (*filter).to_owned());
    given.or_else(|| std::env::var("RUST_LOG").ok()).unwrap_or_else(|| "info".to_owned())
}
