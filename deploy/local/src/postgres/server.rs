//! Starts and stops one private server.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid};

use super::scratch::{Scratch, private_dir, server_user};
use super::{Binaries, BinariesError, SUPERUSER, socket_url};
use crate::process::{self, last_lines, spawn_bound};
use crate::wait::{TimedOut, until_blocking};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// As safe as PostgreSQL is by default: what is committed survives a crash of the machine.
    Durable,
    /// Fast and forgetful, for tests.
    Throwaway,
}

/// How to start a private server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// What it is for.
    pub tuning: Tuning,
    /// Where its data lives on; `None` puts it into the temporary directory that goes with the server.
    pub data_dir: Option<PathBuf>,
}

/// A running server. Dropping it stops it; if this process is killed the kernel stops it.
#[derive(Debug)]
pub struct PrivateServer {
    child: Child,
    socket_dir: PathBuf,
    scratch: Scratch,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No PostgreSQL on this machine.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// A directory or user that is needed could not be had.
    #[error("cannot prepare {what}")]
    Prepare {
        /// What was being prepared.
        what: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The data directory holds something else.
    #[error("{} is neither empty nor a PostgreSQL data directory; it was left as it is", .0.display())]
    NotADataDir(PathBuf),
    /// `initdb` could not create the data directory.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// The server ended before it was ready.
    #[error("the server ended before it was ready; its log says:\n{0}")]
    Ended(String),
    /// The server was not ready in time.
    #[error("the server did not become ready")]
    NotReady(#[source] TimedOut),
}

impl PrivateServer {
    /// Creates the data directory where there is none and starts a server on it. Blocks until the server is ready.
    ///
    /// The server is bound to the calling **thread**: when that ends, so does the server.
    ///
    /// # Errors
    ///
    /// [`ServerError`]; nothing is left running.
    pub fn start(options: &ServerOptions) -> Result<Self, ServerError> {
        let binaries = Binaries::find()?;
        let scratch = Scratch::create().map_err(prepare("a temporary directory"))?;
        let user = server_user().map_err(prepare("a user for the server"))?;
        let data_dir = options.data_dir.clone().unwrap_or_else(|| scratch.path().join("data"));
        require_ours(&data_dir)?;
        let data_dir = private_dir(&data_dir, user).map_err(prepare(data_dir.display().to_string()))?;
        // Sockets have short paths; data directories may not.
        let socket_dir = scratch.path().join("socket");
        let socket_dir = private_dir(&socket_dir, user).map_err(prepare(socket_dir.display().to_string()))?;
        let layout =
            Layout { binaries, user, data_dir, socket_dir, log: scratch.path().join("postgres.log") };
        layout.initdb_if_new()?;
        let mut child = spawn_bound(&mut layout.command(options.tuning)?, Signal::SIGINT)
            .map_err(prepare("the server process"))?;
        if let Err(error) = layout.wait_until_ready(&mut child) {
            process::kill_now(&mut child);
            return Err(error);
        }
        Ok(Self { child, socket_dir: layout.socket_dir, scratch })
    }

    /// The URL of `database` for `role`. Everybody who can enter the socket's directory is trusted; nobody else can.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        socket_url(&self.socket_dir, role, database)
    }

    /// The URL of `database` for the superuser.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        self.url(SUPERUSER, database)
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The directory of the socket, for `psql -h`.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The directory for everything that should go with this server.
    #[must_use]
    pub fn scratch_dir(&self) -> &Path {
        self.scratch.path()
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown: sessions are ended, everything is written. One that hangs is killed; both are the end.
        let _killed_if_slow = process::stop(&mut self.child, Signal::SIGINT, STOP_LIMIT);
    }
}

/// A directory that holds anything else must not be taken over.
fn require_ours(data_dir: &Path) -> Result<(), ServerError> {
    let is_new = fs::read_dir(data_dir).map_or(true, |mut entries| entries.next().is_none());
    if is_new || data_dir.join("PG_VERSION").is_file() {
        return Ok(());
    }
    Err(ServerError::NotADataDir(data_dir.to_path_buf()))
}

pub(super) fn prepare(what: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let what = what.into();
    move |source| ServerError::Prepare { what, source }
}

/// Everything about a server but its process.
pub(super) struct Layout {
    pub(super) binaries: Binaries,
    pub(super) user: Option<(Uid, Gid)>,
    pub(super) data_dir: PathBuf,
    pub(super) socket_dir: PathBuf,
    pub(super) log: PathBuf,
}

impl Layout {
    pub(super) fn initdb_if_new(&self) -> Result<(), ServerError> {
        if self.data_dir.join("PG_VERSION").exists() {
            return Ok(());
        }
        let output = self
            .program("initdb")
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])
            .args(["--username", SUPERUSER, "--pgdata"])
            .arg(&self.data_dir)
            .output()
            .map_err(prepare("initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(ServerError::Initdb(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    pub(super) fn command(&self, tuning: Tuning) -> Result<Command, ServerError> {
        let log = File::create(&self.log).map_err(prepare(self.log.display().to_string()))?;
        let stderr = log.try_clone().map_err(prepare(self.log.display().to_string()))?;
        let mut command = self.program("postgres");
        command.arg("-D").arg(&self.data_dir).arg("-k").arg(&self.socket_dir);
        // No TCP: whoever cannot enter the socket's directory cannot connect, and no port can be taken.
        let mut settings = vec!["listen_addresses=", "max_connections=200"];
        if tuning == Tuning::Throwaway {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        }
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        command.stdin(Stdio::null()).stdout(log).stderr(stderr);
        Ok(command)
    }

    pub(super) fn wait_until_ready(&self, child: &mut Child) -> Result<(), ServerError> {
        let mut ended = false;
        let ready = until_blocking("PostgreSQL to be ready", START_LIMIT, || {
            ended = !matches!(child.try_wait(), Ok(None));
            let is_ready = self.ready_pid() == Some(child.id());
            if ended || is_ready { Ok(()) } else { Err(last_lines(&self.log)) }
        });
        ready.map_err(ServerError::NotReady)?;
        if ended { Err(ServerError::Ended(last_lines(&self.log))) } else { Ok(()) }
    }

    /// The process id of a server that takes connections. PostgreSQL writes its id into the first line of this file and
    /// its state into the eighth. A server that was killed leaves the file, so whoever asks must know the id.
    pub(super) fn ready_pid(&self) -> Option<u32> {
        let pid_file = fs::read_to_string(self.data_dir.join("postmaster.pid")).ok()?;
        let is_ready = pid_file.lines().nth(7).is_some_and(|state| state.trim() == "ready");
        pid_file.lines().next()?.parse().ok().filter(|_| is_ready)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.program(name));
        // The server's user may not be able to enter the directory that we were started in.
        command.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin");
        if let Some((uid, gid)) = self.user {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }
}
