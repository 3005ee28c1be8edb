//! Configuration of read-api: see [`DatabaseConfig`] and [`HttpConfig`] for the variables.

use runtime::config::{ConfigError, Vars};
use runtime::database::DatabaseConfig;
use runtime::http::HttpConfig;

/// Everything that read-api can be told from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_read_api`.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8082), `HTTP_WORKERS`.
    pub http: HttpConfig,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self { database: DatabaseConfig::from_vars(vars)?, http: HttpConfig::from_vars(vars)? })
    }
}
