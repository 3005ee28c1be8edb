//! Configuration of write-api: see [`DatabaseConfig`] and [`HttpConfig`] for the variables.

use std::time::Duration;

use runtime::config::{self, ConfigError, Vars, in_range};
use runtime::database::DatabaseConfig;
use runtime::health::HealthConfig;
use runtime::http::{AdminConfig, HttpConfig};
use serde::Deserialize;

/// Everything that write-api can be told from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_write_api`.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8081), `HTTP_WORKERS`.
    pub http: HttpConfig,
    /// `ADMIN_ADDRESS`, `ADMIN_PORT` (default 9081).
    pub admin: AdminConfig,
    /// The `READINESS_*` variables.
    pub health: HealthConfig,
    /// `WRITE_QUEUE`: commands that may wait to be committed, 1 to 100 000; further ones are answered 503. Default 4 096.
    pub queue: usize,
    /// `WRITE_DEADLINE_MS`: how long a command may take until its caller is told that it failed, or that its outcome is
    /// unknown; 100 to 60 000. Default 10 000.
    pub deadline: Duration,
}

#[derive(Deserialize)]
struct Own {
    #[serde(default = "default_queue")]
    write_queue: usize,
    #[serde(default = "default_deadline_ms")]
    write_deadline_ms: u64,
}

const fn default_queue() -> usize {
    4_096
}

const fn default_deadline_ms() -> u64 {
    10_000
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let own: Own = config::read("", vars)?;
        in_range("WRITE_QUEUE", &own.write_queue, &(1..=100_000))?;
        in_range("WRITE_DEADLINE_MS", &own.write_deadline_ms, &(100..=60_000))?;
        Ok(Self {
            database: DatabaseConfig::from_vars(vars)?,
            http: HttpConfig::from_vars(vars)?,
            admin: AdminConfig::from_vars(vars)?,
            health: HealthConfig::from_vars(vars)?,
            queue: own.write_queue,
            deadline: Duration::from_millis(own.write_deadline_ms),
        })
    }
}
