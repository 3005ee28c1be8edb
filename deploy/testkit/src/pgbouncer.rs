//! `PgBouncer` in front of a server, if it is installed.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::postgres::{Scratch, private_dir, server_user};
use crate::process::{self, spawn_bound};
use crate::wait::until_blocking;

const PORT: u16 = 6_432;
const LIMIT: Duration = Duration::from_secs(30);

/// How long `PgBouncer` assigns a session to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    Session,
    Transaction,
    Statement,
}

impl PoolMode {
    /// Common configurations: the default, which refuses startup options, and the one that guides recommend. In the
    /// other modes only the latter loses a setting without an error.
    pub(crate) fn configurations(self) -> Vec<String> {
        let (mode, lines) = match self {
            Self::Session => {
                ("session", ["", "ignore_startup_parameters = options,extra_float_digits"].as_slice())
            }
            Self::Transaction => ("transaction", ["ignore_startup_parameters = options"].as_slice()),
            Self::Statement => ("statement", ["ignore_startup_parameters = options"].as_slice()),
        };
        lines.iter().map(|line| format!("pool_mode = {mode}\n{line}")).collect()
    }
}

/// A running `PgBouncer`. Dropping it stops it.
#[derive(Debug)]
pub struct PgBouncer {
    child: Child,
    socket_dir: PathBuf,
    _scratch: Scratch,
}

impl PgBouncer {
    /// Starts it for the server whose socket is in `server`. `lines` are added to its configuration, such as
    /// `pool_mode = session`. `None` if the program is not installed. Bound to the calling thread.
    ///
    /// # Errors
    ///
    /// The operating system's; also if `REQUIRE_PGBOUNCER` is set and the program is not installed.
    pub fn start(server: &Path, roles: &[&str], lines: &str) -> io::Result<Option<Self>> {
        let Some(program) = find() else {
            if std::env::var_os("REQUIRE_PGBOUNCER").is_some() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "PgBouncer is not installed"));
            }
            return Ok(None);
        };
        let scratch = Scratch::create()?;
        let user = server_user()?;
        let socket_dir = private_dir(&scratch.path().join("pgbouncer"), user)?;
        let (config, users) = (scratch.path().join("pgbouncer.ini"), scratch.path().join("users.txt"));
        let lines_of_users: Vec<_> = roles.iter().map(|role| format!("\"{role}\" \"\"")).collect();
        fs::write(&users, lines_of_users.join("\n"))?;
        let text = format!(
            "[databases]\n* = host={}\n[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {}\n\
             auth_type = trust\nauth_file = {}\n{lines}\n",
            server.display(),
            socket_dir.display(),
            users.display(),
        );
        fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&config).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((uid, gid)) = user {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        let mut child = spawn_bound(&mut command, Signal::SIGTERM)?;
        let socket = socket_dir.join(format!(".s.PGSQL.{PORT}"));
        let ready = until_blocking("PgBouncer to listen", LIMIT, || {
            if UnixStream::connect(&socket).is_ok() { Ok(()) } else { Err(child.try_wait()) }
        });
        if let Err(error) = ready {
            process::kill_now(&mut child);
            return Err(io::Error::other(error));
        }
        Ok(Some(Self { child, socket_dir, _scratch: scratch }))
    }

    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}"))
    }

    /// The URL of `database` for `role` through `PgBouncer`.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        let host = self.socket_dir.display().to_string().replace('/', "%2F");
        format!("postgres://{role}@{host}:{PORT}/{database}")
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _killed_if_slow = process::stop(&mut self.child, Signal::SIGTERM, LIMIT);
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join("pgbouncer")).find(|program| program.is_file())
}
