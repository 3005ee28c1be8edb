//! Configuration of read-api: see [`DatabaseConfig`] and [`HttpConfig`] for the variables that all processes have.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use service_kit::config::{self, ConfigError, Vars, in_range};
use service_kit::database::DatabaseConfig;
use service_kit::health::HealthConfig;
use service_kit::http::{AdminConfig, HttpConfig};

use crate::adapter::http::CursorKeys;

/// Everything that read-api can be told from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_read_api`.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8082), `HTTP_WORKERS`.
    pub http: HttpConfig,
    /// `ADMIN_ADDRESS`, `ADMIN_PORT` (default 9082).
    pub admin: AdminConfig,
    /// The `READINESS_*` variables.
    pub health: HealthConfig,
    /// `CURSOR_KEY`: the secret that page cursors are made with, 32 characters or more. Required: with one that each process
    /// made for itself, replicas would refuse each other's cursors. `CURSOR_KEY_PREVIOUS`: optional, with the same rules; cursors
    /// made with it are accepted too, so that a key can be replaced.
    pub cursor_keys: CursorKeys,
    /// `LIVE_POLL_MS`: pause between two looks at what has changed, while anybody watches; 10 to 2 000. Default 100.
    pub live_poll: Duration,
}

#[derive(Deserialize)]
struct Cursor {
    key: SecretString,
    key_previous: Option<SecretString>,
}

#[derive(Deserialize)]
struct Live {
    #[serde(default = "default_poll_ms")]
    poll_ms: u64,
}

const fn default_poll_ms() -> u64 {
    100
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let database = DatabaseConfig::from_vars(vars)?;
        let http = HttpConfig::from_vars(vars)?;
        let admin = AdminConfig::from_vars(vars)?;
        let health = HealthConfig::from_vars(vars)?;
        let Cursor { key, key_previous } = config::read("CURSOR_", vars)?;
        let Live { poll_ms } = config::read("LIVE_", vars)?;
        in_range("LIVE_POLL_MS", &poll_ms, &(10..=2_000))?;
        Ok(Self {
            database,
            http,
            admin,
            health,
            cursor_keys: CursorKeys::new(&key, key_previous.as_ref())?,
            live_poll: Duration::from_millis(poll_ms),
        })
    }
}
