//! Configuration of write-api. [`DatabaseConfig`], [`HttpConfig`] and others describe the variables that all services
//! share.

use std::time::Duration;

use serde::Deserialize;
use service_kit::auth::AuthConfig;
use service_kit::config::{self, ConfigError, Vars, in_range};
use service_kit::database::DatabaseConfig;
use service_kit::health::HealthConfig;
use service_kit::http::{AdminConfig, HttpConfig};

/// All settings of write-api.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_write_api`.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8081), `HTTP_WORKERS`.
    pub http: HttpConfig,
    /// `ADMIN_ADDRESS`, `ADMIN_PORT` (default 9081).
    pub admin: AdminConfig,
    /// The `AUTH*` variables.
    pub auth: AuthConfig,
    /// The `READINESS_*` variables.
    pub health: HealthConfig,
    /// `WRITE_QUEUE`: how many writes may wait for a commit, 1 to 100 000; further ones get 503. Default 4 096.
    pub write_queue: usize,
    /// `WRITE_BUDGET_BYTES`: memory for bodies that are being read, queued writes and the batch in flight, 16 MiB to 64
    /// GiB; requests that do not fit get 503. Default 192 MiB.
    pub write_budget_bytes: usize,
    /// `WRITE_DEADLINE_MS`: the longest wait of a caller; after it, the result is a failure or an unknown outcome. 100
    /// to 60 000, default 10 000.
    pub write_deadline: Duration,
}

/// The `WRITE_*` variables as they are read.
#[derive(Deserialize)]
struct RawConfig {
    #[serde(default = "default_queue")]
    queue: usize,
    #[serde(default = "default_budget_bytes")]
    budget_bytes: usize,
    #[serde(default = "default_deadline_ms")]
    deadline_ms: u64,
}

const fn default_queue() -> usize {
    4_096
}

const MIB: usize = 1024 * 1024;

/// With this budget, the process fits into 512 MB, including the allocator's overhead and the connections.
const fn default_budget_bytes() -> usize {
    192 * MIB
}

const fn default_deadline_ms() -> u64 {
    10_000
}

impl Config {
    /// Reads and validates all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::read("WRITE_", vars)?;
        in_range("WRITE_QUEUE", &raw.queue, &(1..=100_000))?;
        in_range("WRITE_BUDGET_BYTES", &raw.budget_bytes, &(16 * MIB..=65_536 * MIB))?;
        in_range("WRITE_DEADLINE_MS", &raw.deadline_ms, &(100..=60_000))?;
        Ok(Self {
            database: DatabaseConfig::from_vars(vars)?,
            http: HttpConfig::from_vars(vars)?,
            admin: AdminConfig::from_vars(vars)?,
            auth: AuthConfig::from_vars(vars)?,
            health: HealthConfig::from_vars(vars)?,
            write_queue: raw.queue,
            write_budget_bytes: raw.budget_bytes,
            write_deadline: Duration::from_millis(raw.deadline_ms),
        })
    }
}
