//! How a database is reached, and the limits of every wait for it.

use std::time::Duration;

use deadpool::Runtime;
use diesel::ConnectionError;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

use super::{Database, Pool};
use crate::config::{self, ConfigError, Vars, in_range};
use crate::telemetry::chain;

/// A connection that goes silent is given up after this long: no answer to a keepalive, or sent data not acknowledged.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// How much longer than PostgreSQL's own limit a statement is waited for. It is only reached where the connection, or the
/// whole server, has gone silent: PostgreSQL's limit cannot strike then.
const SILENCE_GRACE: Duration = Duration::from_millis(500);

/// The `DATABASE_*` variables.
#[derive(Debug, Clone, Deserialize)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`: `postgres://user:password@host:port/database`. Required.
    url: SecretString,
    /// `DATABASE_POOL_SIZE`: connections of this process, 1 to 500. Default 8.
    #[serde(default = "default_pool_size")]
    pool_size: usize,
    /// `DATABASE_POOL_WAIT_MS`: longest wait for a free connection, 1 to 60 000. Default 1 000.
    #[serde(default = "default_wait_ms")]
    pool_wait_ms: u64,
    /// `DATABASE_CONNECT_TIMEOUT_MS`: longest wait for a new connection, 1 to 60 000. Default 2 000.
    #[serde(default = "default_connect_ms")]
    connect_timeout_ms: u64,
    /// `DATABASE_STATEMENT_TIMEOUT_MS`: longest a statement may run, 1 to 600 000. Default 4 000.
    #[serde(default = "default_statement_ms")]
    statement_timeout_ms: u64,
    /// `DATABASE_LOCK_TIMEOUT_MS`: longest a statement may wait for a lock, 1 to 600 000. Default 300.
    #[serde(default = "default_lock_ms")]
    lock_timeout_ms: u64,
    #[serde(skip)]
    settings: &'static [&'static str],
}

const fn default_pool_size() -> usize {
    8
}

const fn default_wait_ms() -> u64 {
    1_000
}

const fn default_connect_ms() -> u64 {
    2_000
}

const fn default_statement_ms() -> u64 {
    4_000
}

const fn default_lock_ms() -> u64 {
    300
}

impl DatabaseConfig {
    /// Reads and checks the `DATABASE_*` variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable and never shows the URL.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let config: Self = config::read("DATABASE_", vars)?;
        in_range("DATABASE_POOL_SIZE", &config.pool_size, &(1..=500))?;
        in_range("DATABASE_POOL_WAIT_MS", &config.pool_wait_ms, &(1..=60_000))?;
        in_range("DATABASE_CONNECT_TIMEOUT_MS", &config.connect_timeout_ms, &(1..=60_000))?;
        in_range("DATABASE_STATEMENT_TIMEOUT_MS", &config.statement_timeout_ms, &(1..=600_000))?;
        in_range("DATABASE_LOCK_TIMEOUT_MS", &config.lock_timeout_ms, &(1..=600_000))?;
        config.session("check")?;
        Ok(config)
    }

    /// The most connections that the process opens.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        self.pool_size
    }

    /// The same with another number of connections.
    #[must_use]
    pub fn with_pool_size(mut self, pool_size: usize) -> Self {
        self.pool_size = pool_size;
        self
    }

    /// The same with further settings for each session, such as `enable_seqscan=off`.
    #[must_use]
    pub fn with_settings(mut self, settings: &'static [&'static str]) -> Self {
        self.settings = settings;
        self
    }

    /// The same with a lock timeout of no more than `limit`.
    #[must_use]
    pub fn with_lock_timeout_up_to(mut self, limit: Duration) -> Self {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.lock_timeout_ms = self.lock_timeout_ms.min(limit_ms);
        self
    }

    /// The database; no connection is opened before the first use. PostgreSQL sees `process` as application name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `DATABASE_URL` is not one.
    pub fn open(&self, process: &str) -> Result<Database, ConfigError> {
        let answer_limit = Duration::from_millis(self.statement_timeout_ms) + SILENCE_GRACE;
        let shortest_timeout = Duration::from_millis(self.lock_timeout_ms.min(self.statement_timeout_ms));
        let pool_wait = Duration::from_millis(self.pool_wait_ms);
        Ok(Database { pool: self.pool(process)?, answer_limit, pool_wait, shortest_timeout })
    }

    fn pool(&self, process: &str) -> Result<Pool, ConfigError> {
        let session = self.session(process)?;
        let mut manager = ManagerConfig::default();
        // The default asks the server at every checkout; a connection that died meanwhile is recognised without.
        manager.recycling_method = RecyclingMethod::Fast;
        manager.custom_setup = Box::new(move |_url| connect(session.clone()).boxed());
        // The URL stays out of the manager: the session above already holds it.
        let manager = AsyncDieselConnectionManager::new_with_config("", manager);
        let connect_timeout = Duration::from_millis(self.connect_timeout_ms);
        Pool::builder(manager)
            .max_size(self.pool_size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_millis(self.pool_wait_ms)))
            .create_timeout(Some(connect_timeout))
            .recycle_timeout(Some(connect_timeout))
            .build()
            .map_err(|error| invalid_url(error.to_string()))
    }

    fn session(&self, process: &str) -> Result<tokio_postgres::Config, ConfigError> {
        let mut session: tokio_postgres::Config =
            self.url.expose_secret().parse().map_err(|_| invalid_url("is not a PostgreSQL URL"))?;
        if session.get_hosts().is_empty() {
            return Err(invalid_url("names no host"));
        }
        if session.get_ssl_mode() == SslMode::Require {
            return Err(invalid_url("asks for TLS, which this build does not have"));
        }
        let mut options = format!(
            "{} -c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={}",
            session.get_options().unwrap_or_default(),
            self.statement_timeout_ms,
            self.lock_timeout_ms,
            SILENCE_LIMIT.as_millis(),
        );
        for setting in self.settings {
            options.push_str(" -c ");
            options.push_str(setting);
        }
        session
            .options(options.trim_start())
            .application_name(process)
            .connect_timeout(Duration::from_millis(self.connect_timeout_ms))
            .keepalives_idle(Duration::from_secs(2))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(3)
            .tcp_user_timeout(SILENCE_LIMIT);
        Ok(session)
    }
}

async fn connect(session: tokio_postgres::Config) -> Result<AsyncPgConnection, ConnectionError> {
    let (client, connection) =
        session.connect(NoTls).await.map_err(|error| ConnectionError::BadConnection(chain(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

fn invalid_url(reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { variable: "DATABASE_URL", reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<DatabaseConfig, ConfigError> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        DatabaseConfig::from_vars(&vars)
    }

    const URL: (&str, &str) = ("DATABASE_URL", "postgres://app:hunter2@db.example/orders");

    #[test]
    fn every_variable_is_checked_and_named() {
        assert_eq!(config(&[]).unwrap_err().to_string(), "DATABASE_URL is not set");
        for (variable, value) in [
            ("DATABASE_POOL_SIZE", "0"),
            ("DATABASE_POOL_SIZE", "-1"),
            ("DATABASE_POOL_WAIT_MS", "60001"),
            ("DATABASE_CONNECT_TIMEOUT_MS", "soon"),
            ("DATABASE_STATEMENT_TIMEOUT_MS", "0"),
            ("DATABASE_LOCK_TIMEOUT_MS", ""),
        ] {
            let error = config(&[URL, (variable, value)]).unwrap_err().to_string();
            assert!(error.contains(variable), "{variable}={value:?}: {error}");
        }
    }

    #[test]
    fn a_bad_url_is_refused_without_showing_it() {
        for url in ["", "postgres://app:hunter2@db.example:port/orders", "mysql://app:hunter2@db/orders"] {
            let error = config(&[("DATABASE_URL", url)]).unwrap_err().to_string();
            assert!(error.starts_with("DATABASE_URL ") && !error.contains("hunter2"), "{url:?}: {error}");
        }
    }

    #[test]
    fn tls_is_refused_rather_than_left_out() {
        let error =
            config(&[("DATABASE_URL", "postgres://app@db.example/orders?sslmode=require")]).unwrap_err();
        assert_eq!(error.to_string(), "DATABASE_URL asks for TLS, which this build does not have");
    }

    #[test]
    fn the_password_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", config(&[URL]).unwrap()).contains("hunter2"));
    }

    #[test]
    fn limits_are_added_to_the_options_of_the_url() {
        let url = "postgres://app@db.example/orders?options=-c%20role%3Dreader";
        let session = config(&[("DATABASE_URL", url)]).unwrap().session("test").unwrap();
        assert_eq!(
            session.get_options(),
            Some(
                "-c role=reader -c statement_timeout=4000 -c lock_timeout=300 \
                 -c idle_in_transaction_session_timeout=5000"
            )
        );
    }
}
