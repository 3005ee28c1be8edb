//! Starts and stops one private server.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::error::{ServerError, prepare};
use super::layout::{Layout, START_LIMIT};
use super::options::{ServerOptions, Tuning};
use super::scratch::Scratch;
use super::{SUPERUSER, socket_url, socket_url_at};
use crate::ports;
use crate::process;
use crate::wait::until_blocking;

const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running server. Dropping it stops it; if this process is killed the kernel stops it.
#[derive(Debug)]
pub struct PrivateServer {
    child: Child,
    layout: Layout,
    tuning: Tuning,
    scratch: Scratch,
}

impl PrivateServer {
    /// Creates the data directory if it is missing and starts a server on it. Blocks until the server is ready.
    ///
    /// The server is bound to the calling **thread**: it ends with that thread.
    ///
    /// # Errors
    ///
    /// [`ServerError`]; nothing is left running.
    pub fn start(options: &ServerOptions) -> Result<Self, ServerError> {
        let (scratch, layout) = Layout::create(options.data_dir.as_deref())?;
        layout.initdb_if_new()?;
        Self::run(scratch, layout, options.tuning)
    }

    /// Starts a throwaway server that accepts TCP connections at a free port of 127.0.0.1, from every user of this
    /// machine. Blocks, and is bound to the calling thread, as [`PrivateServer::start`].
    ///
    /// # Errors
    ///
    /// [`ServerError`]; nothing is left running.
    pub fn start_on_tcp() -> Result<Self, ServerError> {
        Self::start_on_tcp_with(|_| Ok(Vec::new()))
    }

    /// The same with settings, after `prepared` has seen the data directory's files.
    pub(crate) fn start_on_tcp_with(
        prepared: impl FnOnce(&Layout) -> Result<Vec<String>, ServerError>,
    ) -> Result<Self, ServerError> {
        let (scratch, mut layout) = Layout::create(None)?;
        layout.initdb_if_new()?;
        layout.tcp_port = Some(ports::free().map_err(prepare("a free port"))?);
        layout.settings = prepared(&layout)?;
        Self::run(scratch, layout, Tuning::Throwaway)
    }

    /// The port, if it accepts TCP connections.
    #[must_use]
    pub fn tcp_port(&self) -> Option<u16> {
        self.layout.tcp_port
    }

    /// Starts a throwaway hot standby of `primary` with streaming replication. Blocks until it is ready, and is bound
    /// to the calling thread, as [`PrivateServer::start`].
    ///
    /// # Errors
    ///
    /// [`ServerError`]; nothing is left running.
    pub fn start_standby_of(primary: &Self) -> Result<Self, ServerError> {
        let (scratch, layout) = Layout::create(None)?;
        layout.base_backup_of(&primary.layout.socket_dir)?;
        Self::run(scratch, layout, Tuning::Throwaway)
    }

    fn run(scratch: Scratch, layout: Layout, tuning: Tuning) -> Result<Self, ServerError> {
        let child = layout.spawn(tuning)?;
        Ok(Self { child, layout, tuning, scratch })
    }

    /// Kills it as `kill -9` does. The processes of its sessions end a moment later.
    pub fn kill(&mut self) {
        process::kill_now(&mut self.child);
    }

    /// Starts it again after [`Self::kill`], with the same files, socket and port. Blocks until it is ready, and is
    /// bound to the calling thread, as [`PrivateServer::start`].
    ///
    /// # Errors
    ///
    /// If it has not started after 30 seconds.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        // PostgreSQL refuses to start while a session of the killed server lives.
        let started =
            until_blocking("PostgreSQL to start again", START_LIMIT, || self.layout.spawn(self.tuning));
        self.child = started.map_err(ServerError::NotReady)?;
        Ok(())
    }

    /// Ends it as a crash does: it writes nothing more, and the next start recovers.
    pub fn crash(self) {
        process::send(&self.child, Signal::SIGQUIT);
    }

    /// The URL of `database` for `role`, over TCP if the server accepts it. The server trusts every user who can enter
    /// the socket's directory or reach the port.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        match self.layout.tcp_port {
            None => socket_url(&self.layout.socket_dir, role, database),
            Some(port) => format!("postgres://{role}@127.0.0.1:{port}/{database}"),
        }
    }

    /// The URL of `database` for the superuser.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        self.url(SUPERUSER, database)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The same by its socket, also if it accepts TCP.
    #[must_use]
    pub fn url_by_socket(&self, role: &str, database: &str) -> String {
        socket_url_at(&self.layout.socket_dir, self.layout.tcp_port, role, database)
    }

    /// The directory of the socket, for `psql -h`.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.layout.socket_dir
    }

    /// The file with the server's log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.layout.log
    }

    /// A directory that is removed with this server.
    #[must_use]
    pub fn scratch_dir(&self) -> &Path {
        self.scratch.path()
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown: it ends sessions and writes everything. A server that hangs is killed.
        let _killed_if_slow = process::stop(&mut self.child, Signal::SIGINT, STOP_LIMIT);
    }
}
