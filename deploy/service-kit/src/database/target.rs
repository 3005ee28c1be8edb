//! Where a connection leads, and how it is opened.

use std::error::Error;
use std::io;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Client, Connection, Socket};

use super::config::URL;
use super::connect::ConnectError;
use super::settings::Settings;
use super::tls::{self, Stream, Tls, TlsError};
use super::url;
use crate::config::{ConfigError, Vars};
use crate::telemetry::chain;

/// The connection behind a [`Client`]: it must be polled.
pub type Wire = Connection<Socket, Stream>;

/// Longest wait of a tool for a connection, from the first packet to the login. The pool has a limit of its own.
const TOOLS_LIMIT: Duration = Duration::from_secs(10);

/// Where a connection leads, and the settings of its session.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) config: tokio_postgres::Config,
    pub(super) settings: Settings,
    pub(super) tls: Option<Tls>,
}

impl Target {
    /// Reads the files of the URL, so that a wrong one stops the start.
    pub(super) fn check_files(&self) -> Result<(), ConfigError> {
        check_files(self.tls.as_ref())
    }

    /// Which part of `new` one pool must not change: its connections would lead to two databases, or lose TLS. A
    /// password, the files of TLS and the other login role of a pair may change.
    pub(super) fn change_that_needs_a_restart(&self, new: &Self) -> Option<&'static str> {
        let (old, config) = (&self.config, &new.config);
        let is_same_host =
            old.get_hosts() == config.get_hosts() && old.get_hostaddrs() == config.get_hostaddrs();
        [
            ("host", is_same_host),
            ("port", ports(old) == ports(config)),
            ("database", database(old) == database(config)),
            ("user", pair(old.get_user()) == pair(config.get_user())),
            // They may name another schema.
            ("options", old.get_options() == config.get_options()),
            ("sslmode", self.tls.is_none() || new.tls.is_some()),
        ]
        .into_iter()
        .find_map(|(part, is_allowed)| (!is_allowed).then_some(part))
    }

    /// Connects, with the settings as startup options.
    pub(super) async fn dial(&self) -> Result<(Client, Wire), ConnectError> {
        dial(&self.config, self.tls.as_ref()).await
    }

    /// For a pooler that refuses startup options.
    pub(super) async fn dial_without_options(&self) -> Result<(Client, Wire), ConnectError> {
        dial(&url::without_options(&self.config), self.tls.as_ref()).await
    }
}

fn check_files(tls: Option<&Tls>) -> Result<(), ConfigError> {
    let Some(tls) = tls else { return Ok(()) };
    tls.check().map_err(|error| url::invalid(format!("has a wrong file: {}", chain(&error))))
}

fn ports(config: &tokio_postgres::Config) -> &[u16] {
    if config.get_ports().is_empty() { &[5432] } else { config.get_ports() }
}

fn database(config: &tokio_postgres::Config) -> Option<&str> {
    config.get_dbname().or(config.get_user())
}

/// A process has two login roles with the same rights, of which the second one ends with `_b`.
fn pair(user: Option<&str>) -> Option<&str> {
    user.map(|user| user.strip_suffix("_b").unwrap_or(user))
}

/// The URL of `DATABASE_URL`, or of the file of `DATABASE_URL_FILE`, for tools. It is checked, and so are its files.
///
/// # Errors
///
/// [`ConfigError`], which names the variable and never shows the URL.
pub fn url_of(vars: &Vars) -> Result<SecretString, ConfigError> {
    let url = URL.read_required(vars)?;
    check_files(url::parse(url.expose_secret())?.tls.as_ref())?;
    Ok(url)
}

/// Whether the URL is set, in one way or the other.
///
/// # Errors
///
/// [`ConfigError`] if both variables are set.
pub fn is_url_set(vars: &Vars) -> Result<bool, ConfigError> {
    URL.source(vars).map(|source| source.is_some())
}

/// Opens one connection without a pool, for tools. It follows the same rules for TLS as all processes, and fails after
/// ten seconds.
///
/// # Errors
///
/// [`ConnectError`]; no error shows the URL.
pub async fn connect(url: &str) -> Result<(Client, Wire), ConnectError> {
    let parsed = url::parse(url)?;
    let dialled = dial(&parsed.config, parsed.tls.as_ref());
    tokio::time::timeout(TOOLS_LIMIT, dialled).await.map_err(|_| ConnectError::NoAnswer(TOOLS_LIMIT))?
}

/// A server that is not the one of the URL gets no password: TLS comes first.
async fn dial(config: &tokio_postgres::Config, tls: Option<&Tls>) -> Result<(Client, Wire), ConnectError> {
    let connector = match tls {
        Some(tls) => tls.connector().await?,
        None => tls::unused()?,
    };
    config.connect(connector).await.map_err(from_open)
}

fn from_open(error: tokio_postgres::Error) -> ConnectError {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    // tokio-postgres returns this when the server does not match `target_session_attrs`.
    if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied) {
        return ConnectError::ReadOnly;
    }
    match TlsError::from_open(error) {
        Ok(error) => ConnectError::Tls(error),
        Err(error) => ConnectError::Open(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tool_does_not_wait_for_ever_for_a_server_that_never_answers() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://app@127.0.0.1:{}/orders", silent.local_addr().unwrap().port());
        let connected = tokio::time::timeout(Duration::from_mins(1), connect(&url)).await.expect("a limit");
        let error = connected.err().expect("no server").to_string();
        assert_eq!(error, "the server did not answer within 10 s");
    }
}
