//! The `DATABASE_*` variables: how to reach the database, and the limit of every wait.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_postgres::config::TargetSessionAttrs;

use super::connect::Connector;
use super::pooling::Pooling;
use super::session_validity::Validity;
use super::settings::Settings;
use super::target::Target;
use super::targets::{Targets, UrlReads};
use super::url::Parsed;
use super::{Database, Limits, Pool, url};
use crate::config::{self, ConfigError, Vars, in_range};
use crate::secret_file::{SecretSource, SecretVariable};

/// A connection is closed when keepalives get no reply, or sent data no acknowledgement, for this long.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);
/// TCP keepalive: idle time before the first probe, pause between probes, and probes without a reply.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_COUNT: u32 = 3;

/// Added to PostgreSQL's statement timeout. Only reached when the connection or the server is dead, because PostgreSQL
/// cannot enforce its own timeout then.
const SILENCE_GRACE: Duration = Duration::from_millis(500);

/// The `DATABASE_*` variables.
#[derive(Debug, Clone, Deserialize)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`: `postgres://user:password@host:port/database`, or `DATABASE_URL_FILE`: a file with it, which is
    /// read again for each new connection. Exactly one of them is required.
    #[serde(skip, default = "no_source")]
    source: SecretSource,
    /// `DATABASE_POOL_SIZE`: connections of this process, 1 to 500. Default 8.
    #[serde(default = "default_pool_size")]
    pool_size: usize,
    /// `DATABASE_POOL_WAIT_MS`: longest wait for a free connection, 1 to 60 000. Default 1 000.
    #[serde(default = "default_wait_ms")]
    pool_wait_ms: u64,
    /// `DATABASE_CONNECT_TIMEOUT_MS`: longest wait for a new connection, 1 to 60 000. Default 2 000.
    #[serde(default = "default_connect_ms")]
    connect_timeout_ms: u64,
    /// `DATABASE_STATEMENT_TIMEOUT_MS`: longest run of a statement, 1 to 600 000. Default 4 000.
    #[serde(default = "default_statement_ms")]
    statement_timeout_ms: u64,
    /// `DATABASE_LOCK_TIMEOUT_MS`: longest wait for a lock, 1 to 600 000. Default 300.
    #[serde(default = "default_lock_ms")]
    lock_timeout_ms: u64,
    #[serde(skip)]
    settings: &'static [&'static str],
    #[serde(skip)]
    writes: bool,
    #[serde(skip)]
    validity: Arc<Validity>,
    #[serde(skip)]
    pooling: Arc<Pooling>,
    #[serde(skip)]
    url_reads: UrlReads,
}

/// Where [`DatabaseConfig`] and tools find the URL.
pub(super) const URL: SecretVariable = SecretVariable { value: "DATABASE_URL", file: "DATABASE_URL_FILE" };

fn no_source() -> SecretSource {
    SecretSource::Value(SecretString::default())
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
        let mut config: Self = config::read("DATABASE_", vars)?;
        config.source = URL.source(vars)?.ok_or_else(|| URL.missing())?;
        in_range("DATABASE_POOL_SIZE", &config.pool_size, &(1..=500))?;
        in_range("DATABASE_POOL_WAIT_MS", &config.pool_wait_ms, &(1..=60_000))?;
        in_range("DATABASE_CONNECT_TIMEOUT_MS", &config.connect_timeout_ms, &(1..=60_000))?;
        in_range("DATABASE_STATEMENT_TIMEOUT_MS", &config.statement_timeout_ms, &(1..=600_000))?;
        in_range("DATABASE_LOCK_TIMEOUT_MS", &config.lock_timeout_ms, &(1..=600_000))?;
        config.target("check")?.check_files()?;
        Ok(config)
    }

    /// The most connections in the pool.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        self.pool_size
    }

    /// Replaces `DATABASE_POOL_SIZE`.
    #[must_use]
    pub fn with_pool_size(mut self, pool_size: usize) -> Self {
        self.pool_size = pool_size;
        self
    }

    /// Adds settings to each session, such as `enable_seqscan=off`.
    #[must_use]
    pub fn with_settings(mut self, settings: &'static [&'static str]) -> Self {
        self.settings = settings;
        self
    }

    /// Limits the lock timeout to `limit`.
    #[must_use]
    pub fn with_lock_timeout_up_to(mut self, limit: Duration) -> Self {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.lock_timeout_ms = self.lock_timeout_ms.min(limit_ms);
        self
    }

    /// What breaks a session here says nothing of sessions elsewhere: a listener that fails must not cost others their
    /// connections. The others say nothing of these either.
    #[must_use]
    pub fn with_own_validity(mut self) -> Self {
        self.validity = Arc::default();
        self
    }

    /// For a process that writes: refuses a read-only server, as `target_session_attrs=read-write` does, unless the URL
    /// sets this parameter.
    #[must_use]
    pub fn for_writes(mut self) -> Self {
        self.writes = true;
        self
    }

    /// The database. The first use opens the first connection. `process` is the application name.
    ///
    /// Databases opened from clones of one configuration share the validity of their sessions: a cause that breaks one
    /// discards the idle connections of all.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `DATABASE_URL` is invalid.
    pub fn open(&self, process: &str) -> Result<Database, ConfigError> {
        let limits = Limits {
            response_limit: Duration::from_millis(self.statement_timeout_ms) + SILENCE_GRACE,
            pool_wait: Duration::from_millis(self.pool_wait_ms),
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            lock_or_statement_timeout: Duration::from_millis(
                self.lock_timeout_ms.min(self.statement_timeout_ms),
            ),
        };
        let pool = self.pool(process, limits)?;
        self.validity.add_pool(&pool);
        Ok(Database {
            pool,
            validity: Arc::clone(&self.validity),
            pooling: Arc::clone(&self.pooling),
            limits,
            health: None,
            count_failure: None,
        })
    }

    pub(super) fn source(&self) -> &SecretSource {
        &self.source
    }

    pub(super) fn url_reads(&self) -> &UrlReads {
        &self.url_reads
    }

    /// Longest wait for the file of the URL: it leaves time to connect with the last URL.
    pub(super) fn url_read_limit(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms) / 2
    }

    fn pool(&self, process: &str, limits: Limits) -> Result<Pool, ConfigError> {
        let targets = Targets::new(self.clone(), process, self.target(process)?);
        let connector = Connector::new(targets, Arc::clone(&self.validity), Arc::clone(&self.pooling));
        Pool::builder(connector)
            .max_size(self.pool_size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(limits.pool_wait))
            .create_timeout(Some(limits.connect_timeout))
            .build()
            .map_err(|error| url::invalid(error.to_string()))
    }

    fn target(&self, process: &str) -> Result<Target, ConfigError> {
        self.target_at(URL.read_at_start(&self.source)?.expose_secret(), process)
    }

    pub(super) fn target_at(&self, url: &str, process: &str) -> Result<Target, ConfigError> {
        let Parsed { mut config, kind, tls } = url::parse(url)?;
        let options = config.get_options().unwrap_or_default().to_owned();
        let own = [
            format!("statement_timeout={}", self.statement_timeout_ms),
            format!("lock_timeout={}", self.lock_timeout_ms),
            format!("idle_in_transaction_session_timeout={}", SILENCE_LIMIT.as_millis()),
            // On the server's side: ends the session of a process that vanished, or that is frozen and does not read.
            // No other limit ends a session that waits for its client to read.
            format!("tcp_user_timeout={}", SILENCE_LIMIT.as_millis()),
            format!("tcp_keepalives_idle={}", KEEPALIVE_IDLE.as_secs()),
            format!("tcp_keepalives_interval={}", KEEPALIVE_INTERVAL.as_secs()),
            format!("tcp_keepalives_count={KEEPALIVE_COUNT}"),
        ];
        let own = own.into_iter().chain(self.settings.iter().map(|setting| (*setting).to_owned()));
        let settings = Settings::new(&options, own);
        let default = if self.writes { TargetSessionAttrs::ReadWrite } else { TargetSessionAttrs::Any };
        config
            .options(settings.options(&options))
            .application_name(process)
            .connect_timeout(Duration::from_millis(self.connect_timeout_ms))
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_COUNT)
            .tcp_user_timeout(SILENCE_LIMIT)
            .target_session_attrs(kind.unwrap_or(default));
        Ok(Target { config, settings, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<DatabaseConfig, ConfigError> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        DatabaseConfig::from_vars(&vars)
    }

    const GOOD: (&str, &str) = ("DATABASE_URL", "postgres://app:hunter2@localhost/orders");

    #[test]
    fn every_variable_is_checked_and_named() {
        let missing = config(&[]).unwrap_err().to_string();
        assert_eq!(missing, "DATABASE_URL (or DATABASE_URL_FILE) is not set");
        for (variable, value) in [
            ("DATABASE_POOL_SIZE", "0"),
            ("DATABASE_POOL_SIZE", "-1"),
            ("DATABASE_POOL_WAIT_MS", "60001"),
            ("DATABASE_CONNECT_TIMEOUT_MS", "soon"),
            ("DATABASE_STATEMENT_TIMEOUT_MS", "0"),
            ("DATABASE_LOCK_TIMEOUT_MS", ""),
        ] {
            let error = config(&[GOOD, (variable, value)]).unwrap_err().to_string();
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
    fn the_password_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", config(&[GOOD]).unwrap()).contains("hunter2"));
    }

    #[test]
    fn limits_are_added_to_the_options_of_the_url() {
        let url = "postgres://app@localhost/orders?options=-c%20role%3Dreader";
        let target = config(&[("DATABASE_URL", url)]).unwrap().target("test").unwrap();
        assert_eq!(
            target.config.get_options(),
            Some(
                "-c role=reader -c statement_timeout=4000 -c lock_timeout=300 \
                 -c idle_in_transaction_session_timeout=5000 -c tcp_user_timeout=5000 -c tcp_keepalives_idle=2 \
                 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3"
            )
        );
    }

    #[test]
    fn a_writer_requests_a_writable_session_unless_the_url_says_otherwise() {
        let kind = |parameters: &str, config: fn(DatabaseConfig) -> DatabaseConfig| {
            let url = format!("postgres://app@localhost/orders{parameters}");
            let own = config(self::config(&[("DATABASE_URL", &url)]).unwrap());
            own.target("test").unwrap().config.get_target_session_attrs()
        };
        assert_eq!(kind("", DatabaseConfig::for_writes), TargetSessionAttrs::ReadWrite);
        assert_eq!(kind("?target_session_attrs=any", DatabaseConfig::for_writes), TargetSessionAttrs::Any);
        assert_eq!(kind("", |config| config), TargetSessionAttrs::Any);
    }
}
