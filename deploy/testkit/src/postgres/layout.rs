//! The files of a server, and the commands of its programs.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid};

use super::error::{ServerError, prepare};
use super::options::Tuning;
use super::scratch::{Scratch, private_dir, server_user};
use super::{Binaries, SUPERUSER};
use crate::process::{self, last_lines, spawn_bound};
use crate::wait::until_blocking;

pub(super) const START_LIMIT: Duration = Duration::from_secs(30);

/// A directory with other files must not be used.
fn require_ours(data_dir: &Path) -> Result<(), ServerError> {
    let is_new = fs::read_dir(data_dir).map_or(true, |mut entries| entries.next().is_none());
    if is_new || data_dir.join("PG_VERSION").is_file() {
        return Ok(());
    }
    Err(ServerError::NotADataDir(data_dir.to_path_buf()))
}

/// Everything of a server except its process.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(super) binaries: Binaries,
    pub(super) user: Option<(Uid, Gid)>,
    pub(crate) data_dir: PathBuf,
    pub(super) socket_dir: PathBuf,
    pub(super) log: PathBuf,
    /// Accepts TCP connections at this port of 127.0.0.1.
    pub(super) tcp_port: Option<u16>,
    /// Further settings, each `name=value`.
    pub(super) settings: Vec<String>,
}

impl Layout {
    /// For a server on `data_dir`, or on one in the scratch directory.
    pub(super) fn create(data_dir: Option<&Path>) -> Result<(Scratch, Self), ServerError> {
        let binaries = Binaries::find()?;
        let scratch = Scratch::create().map_err(prepare("a temporary directory"))?;
        let user = server_user().map_err(prepare("a user for the server"))?;
        let data_dir = data_dir.map_or_else(|| scratch.path().join("data"), Path::to_path_buf);
        require_ours(&data_dir)?;
        let data_dir = private_dir(&data_dir, user).map_err(prepare(data_dir.display().to_string()))?;
        // A socket's path must be short; that of a data directory may be long.
        let socket_dir = scratch.path().join("socket");
        let socket_dir = private_dir(&socket_dir, user).map_err(prepare(socket_dir.display().to_string()))?;
        let log = scratch.path().join("postgres.log");
        Ok((
            scratch,
            Self { binaries, user, data_dir, socket_dir, log, tcp_port: None, settings: Vec::new() },
        ))
    }

    pub(super) fn initdb_if_new(&self) -> Result<(), ServerError> {
        if self.data_dir.join("PG_VERSION").exists() {
            return Ok(());
        }
        self.create_data("initdb", |initdb| {
            initdb
                .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])
                .args(["--username", SUPERUSER]);
        })
    }

    /// Copies the server with this socket, and configures the copy as its standby.
    pub(super) fn base_backup_of(&self, socket_dir: &Path) -> Result<(), ServerError> {
        self.create_data("pg_basebackup", |copy| {
            copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--username", SUPERUSER])
                .arg("--host")
                .arg(socket_dir);
        })
    }

    fn create_data(
        &self,
        program: &'static str,
        arguments: impl FnOnce(&mut Command),
    ) -> Result<(), ServerError> {
        let mut command = self.program(program);
        arguments(command.arg("--pgdata").arg(&self.data_dir));
        let output = command.output().map_err(prepare(program))?;
        if output.status.success() {
            return Ok(());
        }
        Err(ServerError::Create {
            program,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    pub(super) fn command(&self, tuning: Tuning) -> Result<Command, ServerError> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(prepare(self.log.display().to_string()))?;
        let stderr = log.try_clone().map_err(prepare(self.log.display().to_string()))?;
        let mut command = self.program("postgres");
        command.arg("-D").arg(&self.data_dir).arg("-k").arg(&self.socket_dir);
        // Without TCP, only users who can enter the socket's directory can connect, and ports cannot conflict.
        match self.tcp_port {
            None => command.args(["-c", "listen_addresses="]),
            Some(port) => command.args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string()]),
        };
        let mut settings = vec!["max_connections=200"];
        settings.extend(match tuning {
            Tuning::Durable => &[][..],
            Tuning::Measured => &["track_commit_timestamp=on"],
            Tuning::Throwaway => &["fsync=off", "synchronous_commit=off", "full_page_writes=off"],
        });
        for setting in settings.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.arg("-c").arg(setting);
        }
        command.stdin(Stdio::null()).stdout(log).stderr(stderr);
        Ok(command)
    }

    /// Starts a process that is bound to the calling thread, and waits until it is ready.
    pub(super) fn spawn(&self, tuning: Tuning) -> Result<Child, ServerError> {
        let mut child =
            spawn_bound(&mut self.command(tuning)?, Signal::SIGINT).map_err(prepare("the server process"))?;
        if let Err(error) = self.wait_until_ready(&mut child) {
            process::kill_now(&mut child);
            return Err(error);
        }
        Ok(child)
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

    /// The process id of a server that accepts connections. PostgreSQL writes its process id to the first line of this
    /// file and its state to the eighth. A killed server leaves the file, so the caller must compare the id.
    pub(super) fn ready_pid(&self) -> Option<u32> {
        let pid_file = fs::read_to_string(self.data_dir.join("postmaster.pid")).ok()?;
        let is_ready =
            pid_file.lines().nth(7).is_some_and(|state| matches!(state.trim(), "ready" | "standby"));
        pid_file.lines().next()?.parse().ok().filter(|_| is_ready)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.program(name));
        // The server's user may not have access to the current directory.
        command.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin");
        if let Some((uid, gid)) = self.user {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }
}
