//! The three real binaries as child processes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::{self, bind_to_this_thread, spawn_bound};
use crate::wait::{self, TimedOut};

const READY_LIMIT: Duration = Duration::from_secs(20);
/// Longer than the 20 s that a service gives the requests in flight.
const STOP_LIMIT: Duration = Duration::from_secs(25);

/// One of the three processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// Takes orders.
    WriteApi,
    /// Drains the outbox.
    Projector,
    /// Answers screens.
    ReadApi,
}

impl ServiceKind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::WriteApi, Self::Projector, Self::ReadApi];

    /// The name of its package and binary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WriteApi => "write-api",
            Self::Projector => "projector",
            Self::ReadApi => "read-api",
        }
    }

    /// Its database role.
    #[must_use]
    pub const fn role(self) -> &'static str {
        match self {
            Self::WriteApi => "orders_write_api",
            Self::Projector => "orders_projector",
            Self::ReadApi => "orders_read_api",
        }
    }
}

/// The directory that holds the three binaries.
#[derive(Debug, Clone)]
pub struct ServiceBinaries {
    dir: PathBuf,
}

/// Why there are no binaries.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// The path of this very program is not known or makes no sense.
    #[error("cannot tell where this program lies")]
    Unplaced(#[source] io::Error),
    /// cargo could not be run.
    #[error("cannot run cargo")]
    Cargo(#[source] io::Error),
    /// cargo failed; it has said why.
    #[error("cargo could not build the services ({0})")]
    Build(ExitStatus),
    /// A binary is not there.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
}

impl ServiceBinaries {
    /// Builds them with cargo, in the profile and target directory that this program was built in.
    ///
    /// # Errors
    ///
    /// [`BinariesError`].
    pub async fn build() -> Result<Self, BinariesError> {
        let dir = own_dir()?;
        let profile = match dir.file_name().and_then(|name| name.to_str()) {
            None | Some("debug") => "dev",
            Some(profile) => profile,
        };
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "--quiet", "--profile", profile]);
        for kind in ServiceKind::ALL {
            command.args(["--package", kind.name()]);
        }
        command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
        command.arg("--target-dir").arg(dir.parent().unwrap_or(&dir));
        command.stdin(Stdio::null());
        bind_to_this_thread(&mut command, Signal::SIGTERM);
        let mut cargo = tokio::process::Command::from(command);
        let status = cargo.kill_on_drop(true).status().await.map_err(BinariesError::Cargo)?;
        if status.success() { Self::in_dir(dir) } else { Err(BinariesError::Build(status)) }
    }

    /// Those that lie beside this program.
    ///
    /// # Errors
    ///
    /// [`BinariesError::Missing`].
    pub fn beside_this_program() -> Result<Self, BinariesError> {
        Self::in_dir(own_dir()?)
    }

    fn in_dir(dir: PathBuf) -> Result<Self, BinariesError> {
        let mut programs = ServiceKind::ALL.iter().map(|kind| dir.join(kind.name()));
        match programs.find(|program| !program.is_file()) {
            Some(missing) => Err(BinariesError::Missing(missing)),
            None => Ok(Self { dir }),
        }
    }

    /// The path of one of them.
    #[must_use]
    pub fn program(&self, kind: ServiceKind) -> PathBuf {
        self.dir.join(kind.name())
    }
}

/// Where this program lies; test programs lie one directory deeper than the others.
fn own_dir() -> Result<PathBuf, BinariesError> {
    let program = std::env::current_exe().map_err(BinariesError::Unplaced)?;
    let dir = program.parent().ok_or_else(|| BinariesError::Unplaced(io::ErrorKind::NotFound.into()))?;
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    Ok(dir.to_path_buf())
}

/// A running service. Dropping it kills it; so does the end of the thread that started it.
#[derive(Debug)]
pub struct Service {
    kind: ServiceKind,
    child: Child,
    port: u16,
    log: PathBuf,
}

/// Why a service is not running as it should.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It could not be started.
    #[error("{service} cannot be started")]
    Start {
        /// Its name.
        service: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It ended, or did not become ready.
    #[error("{service} did not become ready; its log ends with:\n{log}")]
    NotReady {
        /// Its name.
        service: &'static str,
        /// The end of its log.
        log: String,
        /// What was seen last.
        #[source]
        source: TimedOut,
    },
    /// It did not end when told to, and was killed.
    #[error("{service} had to be killed")]
    Stuck {
        /// Its name.
        service: &'static str,
        /// How long it was given.
        #[source]
        source: TimedOut,
    },
}

impl Service {
    /// Starts the service's `program`, which listens on 127.0.0.1 and `port`, and logs to a file in `log_dir`.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Start`].
    pub fn start(
        kind: ServiceKind,
        program: &Path,
        database_url: &str,
        port: u16,
        log_dir: &Path,
    ) -> Result<Self, ServiceError> {
        let start = || -> io::Result<(Child, PathBuf)> {
            let log = log_dir.join(format!("{}.log", kind.name()));
            let out = File::options().create(true).append(true).open(&log)?;
            let mut command = Command::new(program);
            command
                .env("DATABASE_URL", database_url)
                .env("BIND_ADDRESS", "127.0.0.1")
                .env("PORT", port.to_string());
            command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
            // SIGTERM: requests in flight are finished even where the launcher was killed.
            Ok((spawn_bound(&mut command, Signal::SIGTERM)?, log))
        };
        let (child, log) = start().map_err(|source| ServiceError::Start { service: kind.name(), source })?;
        Ok(Self { kind, child, port, log })
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NotReady`] with the end of its log, after 20 s or as soon as it has ended.
    pub async fn wait_until_ready(&mut self) -> Result<(), ServiceError> {
        let url = format!("{}/readyz", self.url());
        let client = reqwest::Client::new();
        let ready = wait::until("readiness", READY_LIMIT, || {
            let ended = self.child.try_wait().ok().flatten();
            let request = client.get(&url).send();
            async move {
                match ended {
                    Some(status) => Ok(Err(status)),
                    None => request.await.and_then(reqwest::Response::error_for_status).map(|_| Ok(())),
                }
            }
        });
        let source = match ready.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(status)) => TimedOut {
                what: "readiness".into(),
                waited: Duration::ZERO,
                last_seen: format!("it ended: {status}"),
            },
            Err(timed_out) => timed_out,
        };
        Err(ServiceError::NotReady { service: self.kind.name(), log: self.end_of_log(), source })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> ServiceKind {
        self.kind
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it with SIGTERM, and waits until it has.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Stuck`] when it had to be killed after 25 s.
    pub fn stop(mut self) -> Result<ExitStatus, ServiceError> {
        process::stop(&mut self.child, Signal::SIGTERM, STOP_LIMIT)
            .map_err(|source| ServiceError::Stuck { service: self.kind.name(), source })
    }

    /// Ends it with SIGKILL, as a crash would.
    pub fn kill(mut self) {
        process::kill_now(&mut self.child);
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        process::kill_now(&mut self.child);
    }
}
