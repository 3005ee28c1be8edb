//! Configuration of write-api: see [`DatabaseConfig`] and [`HttpConfig`] for the other variables.

use std::time::Duration;

use serde::Deserialize;
use service_kit::config::{self, ConfigError, Vars, in_range};
use service_kit::database::DatabaseConfig;
use service_kit::health::HealthConfig;
use service_kit::http::{AdminConfig, HttpConfig};

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
    /// `WRITE_BUDGET_BYTES`: memory for bodies that are being read, commands that wait and the batch in flight, 16 MiB to 64 GiB;
    /// what does not fit is answered 503. Default 192 MiB.
    pub budget: usize,
    /// `WRITE_DEADLINE_MS`: how long a command may take until its caller is told that it failed, or that its outcome is
    /// unknown; 100 to 60 000. Default 10 000.
    pub deadline: Duration,
}

#[derive(Deserialize)]
struct Own {
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

/// A process that holds this much, and as much again as allocator and connections need, fits into 512 MB.
const fn default_budget_bytes() -> usize {
    192 * MIB
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
        let own: Own = config::read("WRITE_", vars)?;
        in_range("WRITE_QUEUE", &own.queue, &(1..=100_000))?;
        in_range("WRITE_BUDGET_BYTES", &own.budget_bytes, &(16 * MIB..=65_536 * MIB))?;
        in_range("WRITE_DEADLINE_MS", &own.deadline_ms, &(100..=60_000))?;
        Ok(Self {
            database: DatabaseConfig::from_vars(vars)?,
            http: HttpConfig::from_vars(vars)?,
            admin: AdminConfig::from_vars(vars)?,
            health: HealthConfig::from_vars(vars)?,
            queue: own.queue,
            budget: own.budget_bytes,
            deadline: Duration::from_millis(own.deadline_ms),
        })
    }
}
