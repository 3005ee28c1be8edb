//! Configuration of read-api: see [`DatabaseConfig`] and [`HttpConfig`] for the variables that all processes have.

use runtime::config::{self, ConfigError, Vars};
use runtime::database::DatabaseConfig;
use runtime::http::HttpConfig;
use secrecy::SecretString;
use serde::Deserialize;

use crate::adapter::http::CursorKey;

/// Everything that read-api can be told from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_read_api`.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8082), `HTTP_WORKERS`.
    pub http: HttpConfig,
    /// `CURSOR_KEY`: the secret that page cursors are made with, 32 characters or more. Required: with one that each process
    /// made for itself, replicas would refuse each other's cursors.
    pub cursor_key: CursorKey,
}

#[derive(Deserialize)]
struct Own {
    key: SecretString,
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
        let own: Own = config::read("CURSOR_", vars)?;
        Ok(Self { database, http, cursor_key: CursorKey::new(&own.key)? })
    }
}
