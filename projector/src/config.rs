//! Configuration of the projector: see [`DatabaseConfig`], [`HttpConfig`] and [`AdminConfig`] for the common variables.

use std::time::Duration;

use serde::Deserialize;
use service_kit::auth::AuthConfig;
use service_kit::config::{self, ConfigError, Vars, in_range};
use service_kit::database::DatabaseConfig;
use service_kit::health::HealthConfig;
use service_kit::http::{AdminConfig, HttpConfig};

use crate::audit::AuditConfig;
use crate::batch::DEFAULT_BATCH_MAX_BYTES;
use crate::feed::config::FeedConfig;
use crate::parked::RetryPolicy;
use crate::webhooks::WebhookConfig;

/// All settings of the projector.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_projector`. Each worker uses one connection.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8083), `HTTP_WORKERS`.
    pub http: HttpConfig,
    /// The `FEED_*` variables.
    pub feed: FeedConfig,
    /// `ADMIN_ADDRESS`, `ADMIN_PORT` (default 9083): for the probes and metrics.
    pub admin: AdminConfig,
    /// `ADMIN_ACTIONS`: `on` lets the operator's page retry, discard, pause and resume. Default `off`.
    pub admin_actions: bool,
    /// The `AUTH*` variables.
    pub auth: AuthConfig,
    /// The `READINESS_*` variables.
    pub health: HealthConfig,
    /// `WORKERS`: outbox batches processed at once, 1 to 64, and at most the number of connections. Default 1. Two more
    /// loops (waiting and parked events) use the same connection pool.
    pub workers: usize,
    /// `BATCH_MAX`: most events of one batch, 1 to 10 000. Default 1 000. Batches grow up to this while they are full
    /// and fast.
    pub batch_max: i64,
    /// `BATCH_MAX_BYTES`: most payload bytes of one batch, 1 to 268 435 456. Default 4 194 304. A larger event is
    /// claimed alone.
    pub batch_max_bytes: i64,
    /// `POLL_MAX_MS`: longest pause between two polls of an empty outbox, 1 to 10 000. Default 20.
    pub poll_max: Duration,
    /// `PARKED_ATTEMPTS`: how often an event is tried before it is left for an operator, 1 to 1 000. Default 12.
    /// `PARKED_RETRY_FIRST_MS`: the pause after the first attempt, 1 to 86 400 000. Default 10 000. It doubles with
    /// each attempt, up to `PARKED_RETRY_MAX_MS`, 1 to 86 400 000. Default 3 600 000. Jitter adds up to 100 % to both.
    pub parked: RetryPolicy,
    /// The `WEBHOOK_*` variables.
    pub webhooks: WebhookConfig,
    /// The `AUDIT_*` variables.
    pub audit: AuditConfig,
}

#[derive(Deserialize)]
struct RawConfig {
    admin_actions: Option<String>,
    #[serde(default = "default_workers")]
    workers: usize,
    #[serde(default = "default_batch_max")]
    batch_max: i64,
    #[serde(default = "default_batch_max_bytes")]
    batch_max_bytes: i64,
    #[serde(default = "default_poll_max_ms")]
    poll_max_ms: u64,
    #[serde(default = "default_parked_attempts")]
    parked_attempts: usize,
    #[serde(default = "default_parked_retry_first_ms")]
    parked_retry_first_ms: u64,
    #[serde(default = "default_parked_retry_max_ms")]
    parked_retry_max_ms: u64,
}

const fn default_workers() -> usize {
    1
}

const fn default_batch_max() -> i64 {
    1_000
}

const fn default_batch_max_bytes() -> i64 {
    DEFAULT_BATCH_MAX_BYTES
}

const fn default_poll_max_ms() -> u64 {
    20
}

const fn default_parked_attempts() -> usize {
    12
}

const fn default_parked_retry_first_ms() -> u64 {
    10_000
}

const fn default_parked_retry_max_ms() -> u64 {
    3_600_000
}

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::read("", vars)?;
        let admin_actions = match raw.admin_actions.as_deref() {
            None | Some("off") => false,
            Some("on") => true,
            Some(_) => {
                let reason = "must be `on` or `off`".to_owned();
                return Err(ConfigError::Invalid { variable: "ADMIN_ACTIONS", reason });
            }
        };
        in_range("WORKERS", &raw.workers, &(1..=64))?;
        in_range("BATCH_MAX", &raw.batch_max, &(1..=10_000))?;
        in_range("BATCH_MAX_BYTES", &raw.batch_max_bytes, &(1..=256 << 20))?;
        in_range("POLL_MAX_MS", &raw.poll_max_ms, &(1..=10_000))?;
        in_range("PARKED_ATTEMPTS", &raw.parked_attempts, &(1..=1_000))?;
        in_range("PARKED_RETRY_FIRST_MS", &raw.parked_retry_first_ms, &(1..=DAY_MS))?;
        in_range("PARKED_RETRY_MAX_MS", &raw.parked_retry_max_ms, &(1..=DAY_MS))?;
        if raw.parked_retry_first_ms > raw.parked_retry_max_ms {
            let reason = format!("must be at most PARKED_RETRY_MAX_MS, which is {}", raw.parked_retry_max_ms);
            return Err(ConfigError::Invalid { variable: "PARKED_RETRY_FIRST_MS", reason });
        }
        let database = DatabaseConfig::from_vars(vars)?;
        if raw.workers > database.pool_size() {
            let reason = format!("must be at most DATABASE_POOL_SIZE, which is {}", database.pool_size());
            return Err(ConfigError::Invalid { variable: "WORKERS", reason });
        }
        Ok(Self {
            database,
            http: HttpConfig::from_vars(vars)?,
            feed: FeedConfig::from_vars(vars)?,
            admin: AdminConfig::from_vars(vars)?,
            admin_actions,
            auth: AuthConfig::from_vars(vars)?,
            health: HealthConfig::from_vars(vars)?,
            workers: raw.workers,
            batch_max: raw.batch_max,
            batch_max_bytes: raw.batch_max_bytes,
            poll_max: Duration::from_millis(raw.poll_max_ms),
            parked: RetryPolicy {
                attempts: raw.parked_attempts,
                retry_first: Duration::from_millis(raw.parked_retry_first_ms),
                retry_max: Duration::from_millis(raw.parked_retry_max_ms),
            },
            webhooks: WebhookConfig::from_vars(vars)?,
            audit: AuditConfig::from_vars(vars)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, value: &str) -> Result<Config, ConfigError> {
        let url = "postgres://orders_projector@localhost/orders";
        let vars = [("DATABASE_URL", url), ("AUTH", "off"), (name, value)];
        Config::from_vars(&vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
    }

    #[test]
    fn a_bad_value_is_reported_by_name() {
        for (name, value) in [
            ("WORKERS", "0"),
            ("BATCH_MAX", "10001"),
            ("BATCH_MAX_BYTES", "0"),
            ("BATCH_MAX_BYTES", "268435457"),
            ("POLL_MAX_MS", "often"),
            ("PARKED_ATTEMPTS", "0"),
            ("PARKED_RETRY_FIRST_MS", "0"),
            ("PARKED_RETRY_MAX_MS", "86400001"),
            ("ADMIN_PORT", "65536"),
        ] {
            let error = config(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{name}={value}: {error}");
        }
        let defaults = config("WORKERS", "8").unwrap();
        assert_eq!((defaults.workers, defaults.batch_max), (8, 1_000));
        assert_eq!(defaults.parked.attempts, 12);
        assert_eq!(defaults.parked.retry_first, Duration::from_secs(10));
        assert_eq!(defaults.parked.retry_max, Duration::from_hours(1));
        let error = config("WORKERS", "9").unwrap_err().to_string();
        assert_eq!(error, "WORKERS must be at most DATABASE_POOL_SIZE, which is 8");
        let error = config("PARKED_RETRY_MAX_MS", "9999").unwrap_err().to_string();
        assert_eq!(error, "PARKED_RETRY_FIRST_MS must be at most PARKED_RETRY_MAX_MS, which is 9999");
    }
}
