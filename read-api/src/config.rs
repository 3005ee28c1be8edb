//! Configuration of read-api: see [`DatabaseConfig`] and [`HttpConfig`] for the variables that all processes have.

use std::time::Duration;

use serde::Deserialize;
use service_kit::auth::AuthConfig;
use service_kit::config::{self, ConfigError, Vars, in_range};
use service_kit::database::DatabaseConfig;
use service_kit::health::HealthConfig;
use service_kit::http::{AdminConfig, HttpConfig};
use service_kit::secret_file::SecretVariable;

use crate::cursor::CursorKeys;

/// All settings of read-api.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_read_api`.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8082), `HTTP_WORKERS`.
    pub http: HttpConfig,
    /// `ADMIN_ADDRESS`, `ADMIN_PORT` (default 9082).
    pub admin: AdminConfig,
    /// The `AUTH*` variables.
    pub auth: AuthConfig,
    /// The `READINESS_*` variables.
    pub health: HealthConfig,
    /// `CURSOR_KEY` or `CURSOR_KEY_FILE`: the secret that signs page cursors, 32 characters or more. Required: with a
    /// random key per process, replicas would reject each other's cursors. `CURSOR_KEY_PREVIOUS` or
    /// `CURSOR_KEY_PREVIOUS_FILE`: optional, same rules; cursors signed with it are accepted too, so that the key can
    /// be replaced.
    pub cursor_keys: CursorKeys,
    /// `LIVE_POLL_MS`: pause between two polls for changes while there are streams; 10 to 2 000. Default 100.
    pub live_poll: Duration,
}

const KEY: SecretVariable = SecretVariable { value: "CURSOR_KEY", file: "CURSOR_KEY_FILE" };
const PREVIOUS_KEY: SecretVariable =
    SecretVariable { value: "CURSOR_KEY_PREVIOUS", file: "CURSOR_KEY_PREVIOUS_FILE" };

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default = "default_live_poll_ms")]
    live_poll_ms: u64,
}

const fn default_live_poll_ms() -> u64 {
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
        let auth = AuthConfig::from_vars(vars)?;
        let health = HealthConfig::from_vars(vars)?;
        let raw: RawConfig = config::read("", vars)?;
        in_range("LIVE_POLL_MS", &raw.live_poll_ms, &(10..=2_000))?;
        Ok(Self {
            database,
            http,
            admin,
            auth,
            health,
            cursor_keys: CursorKeys::new(&KEY.read_required(vars)?, PREVIOUS_KEY.read(vars)?.as_ref())?,
            live_poll: Duration::from_millis(raw.live_poll_ms),
        })
    }
}
