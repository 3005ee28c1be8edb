//! `PgBouncer` in front of a server, if it is installed.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid};

use crate::certificates::Identity;
use crate::ports;
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
    tls_port: Option<u16>,
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
        Self::start_with(server, roles, "", lines, None)
    }

    /// The same, and it also listens on a free port of 127.0.0.1, where it demands TLS and this password of each role.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_with_tls(
        server: &Path,
        roles: &[&str],
        password: &str,
        lines: &str,
        identity: &Identity,
    ) -> io::Result<Option<Self>> {
        Self::start_with(server, roles, password, lines, Some(identity))
    }

    fn start_with(
        server: &Path,
        roles: &[&str],
        password: &str,
        lines: &str,
        identity: Option<&Identity>,
    ) -> io::Result<Option<Self>> {
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
        let lines_of_users: Vec<_> = roles.iter().map(|role| format!("\"{role}\" \"{password}\"")).collect();
        fs::write(&users, lines_of_users.join("\n"))?;
        let (tls_port, front) =
            identity.map(|identity| tls_lines(scratch.path(), identity)).transpose()?.unzip();
        let text = format!(
            "[databases]\n* = host={}\n[pgbouncer]\nunix_socket_dir = {}\nauth_file = {}\n{}{lines}\n",
            server.display(),
            socket_dir.display(),
            users.display(),
            front.unwrap_or_else(|| format!("listen_addr =\nlisten_port = {PORT}\nauth_type = trust\n")),
        );
        fs::write(&config, text)?;
        let socket = socket_dir.join(socket_name(tls_port));
        let child = spawn(&program, &config, user, &socket)?;
        Ok(Some(Self { child, socket_dir, tls_port, _scratch: scratch }))
    }

    /// The port at which it demands TLS.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(socket_name(self.tls_port))
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

/// Its socket bears the number of its port.
fn socket_name(tls_port: Option<u16>) -> String {
    format!(".s.PGSQL.{}", tls_port.unwrap_or(PORT))
}

/// A free port, and the lines of the configuration for it.
fn tls_lines(dir: &Path, identity: &Identity) -> io::Result<(u16, String)> {
    let port = ports::free()?;
    let (certificate, key) = (dir.join("pgbouncer.crt"), dir.join("pgbouncer.key"));
    fs::write(&certificate, &identity.certificate)?;
    fs::write(&key, &identity.key)?;
    let lines = format!(
        "listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = scram-sha-256\nclient_tls_sslmode = require\n\
         client_tls_cert_file = {}\nclient_tls_key_file = {}\n",
        certificate.display(),
        key.display(),
    );
    Ok((port, lines))
}

/// Starts the program, and waits until it listens.
fn spawn(program: &Path, config: &Path, user: Option<(Uid, Gid)>, socket: &Path) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg("--quiet").arg(config).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((uid, gid)) = user {
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    let mut child = spawn_bound(&mut command, Signal::SIGTERM)?;
    let ready = until_blocking("PgBouncer to listen", LIMIT, || {
        if UnixStream::connect(socket).is_ok() { Ok(()) } else { Err(child.try_wait()) }
    });
    if let Err(error) = ready {
        process::kill_now(&mut child);
        return Err(io::Error::other(error));
    }
    Ok(child)
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join("pgbouncer")).find(|program| program.is_file())
}
