//! The settings of the feed.

use serde::Deserialize;
use service_kit::config::{self, ConfigError, Vars, in_range};
use service_kit::http::Served;

/// Requests that wait last long: half of the client connections stay free for others.
const WAITERS_SHARE: usize = 2;

/// The `FEED_*` variables.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct FeedConfig {
    /// `FEED_CONNECTIONS`: database connections that read the log for clients, 1 to 50. Default 2.
    #[serde(default = "default_connections")]
    pub(crate) connections: usize,
    /// `FEED_WAITERS`: requests that may wait for events at once, 1 to 100 000, and at most half of the client
    /// connections. Default 1 000.
    #[serde(default = "default_waiters")]
    waiters: usize,
    /// `FEED_BUDGET_BYTES`: memory for events that are being read and sent, 16 777 216 to 68 719 476 736. Default
    /// 67 108 864.
    #[serde(default = "default_budget_bytes")]
    pub(super) budget_bytes: usize,
}

const fn default_connections() -> usize {
    2
}

const fn default_waiters() -> usize {
    1_000
}

const fn default_budget_bytes() -> usize {
    64 << 20
}

impl FeedConfig {
    /// Reads and checks the variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let config: Self = config::read("FEED_", vars)?;
        in_range("FEED_CONNECTIONS", &config.connections, &(1..=50))?;
        in_range("FEED_WAITERS", &config.waiters, &(1..=100_000))?;
        in_range("FEED_BUDGET_BYTES", &config.budget_bytes, &(16 << 20..=64 << 30))?;
        Ok(config)
    }

    /// How many requests may wait for events at once.
    pub(crate) fn waiters_of(self, clients: Served) -> usize {
        self.waiters.min(clients.connections() / WAITERS_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_reported_by_name() {
        for (name, value) in [
            ("FEED_CONNECTIONS", "0"),
            ("FEED_CONNECTIONS", "51"),
            ("FEED_WAITERS", "0"),
            ("FEED_WAITERS", "100001"),
            ("FEED_WAITERS", "many"),
            ("FEED_BUDGET_BYTES", "16777215"),
            ("FEED_BUDGET_BYTES", "68719476737"),
        ] {
            let vars = vec![(name.to_owned(), value.to_owned())];
            let error = FeedConfig::from_vars(&vars).unwrap_err().to_string();
            assert!(error.contains(name), "{name}={value}: {error}");
        }
    }
}
