//! Configuration of the projector: see [`DatabaseConfig`] and [`HttpConfig`] for the common variables.

use std::time::Duration;

use runtime::config::{self, ConfigError, Vars, in_range};
use runtime::database::DatabaseConfig;
use runtime::http::HttpConfig;
use serde::Deserialize;

/// Everything that the projector can be told from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_projector`. Each worker uses one connection at a time.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8083), `HTTP_WORKERS`: for the probes.
    pub http: HttpConfig,
    /// `WORKERS`: cycles that run at once in this process, 1 to 64, and no more than connections. Default 1.
    pub workers: usize,
    /// `BATCH_SIZE`: most events that one cycle claims, 1 to 10 000. Default 1 000.
    pub batch_size: i64,
    /// `POLL_MAX_MS`: longest pause between two looks at an empty outbox, 1 to 10 000. Default 20.
    pub longest_pause: Duration,
}

#[derive(Deserialize)]
struct Own {
    #[serde(default = "default_workers")]
    workers: usize,
    #[serde(default = "default_batch_size")]
    batch_size: i64,
    #[serde(default = "default_poll_max_ms")]
    poll_max_ms: u64,
}

const fn default_workers() -> usize {
    1
}

const fn default_batch_size() -> i64 {
    1_000
}

const fn default_poll_max_ms() -> u64 {
    20
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let own: Own = config::read("", vars)?;
        in_range("WORKERS", &own.workers, &(1..=64))?;
        in_range("BATCH_SIZE", &own.batch_size, &(1..=10_000))?;
        in_range("POLL_MAX_MS", &own.poll_max_ms, &(1..=10_000))?;
        let database = DatabaseConfig::from_vars(vars)?;
        if own.workers > database.pool_size() {
            let reason = format!("must be at most DATABASE_POOL_SIZE, which is {}", database.pool_size());
            return Err(ConfigError::Invalid { variable: "WORKERS", reason });
        }
        Ok(Self {
            database,
            http: HttpConfig::from_vars(vars)?,
            workers: own.workers,
            batch_size: own.batch_size,
            longest_pause: Duration::from_millis(own.poll_max_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, value: &str) -> Result<Config, ConfigError> {
        let vars = [("DATABASE_URL", "postgres://orders_projector@localhost/orders"), (name, value)];
        Config::from_vars(&vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
    }

    #[test]
    fn a_bad_value_is_reported_by_name() {
        for (name, value) in
            [("WORKERS", "0"), ("BATCH_SIZE", "10001"), ("POLL_MAX_MS", "often"), ("PORT", "65536")]
        {
            let error = config(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{name}={value}: {error}");
        }
        assert_eq!(config("WORKERS", "8").unwrap().workers, 8);
        let error = config("WORKERS", "9").unwrap_err().to_string();
        assert_eq!(error, "WORKERS must be at most DATABASE_POOL_SIZE, which is 8");
    }
}
