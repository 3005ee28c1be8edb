//! How long a process stays ready without a success.

use std::time::Duration;

use serde::Deserialize;

use crate::config::{self, ConfigError, Vars, in_range};

/// The `READINESS_*` variables.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct HealthConfig {
    /// `READINESS_GRACE_MS`: how long a process stays ready without a success, 1 to 600 000. Default 10 000.
    #[serde(default = "default_grace_ms")]
    grace_ms: u64,
}

const fn default_grace_ms() -> u64 {
    10_000
}

impl HealthConfig {
    /// Reads and checks `READINESS_GRACE_MS`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let config: Self = config::read("READINESS_", vars)?;
        in_range("READINESS_GRACE_MS", &config.grace_ms, &(1..=600_000))?;
        Ok(config)
    }

    /// How long a process stays ready without a success.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_is_checked_and_named() {
        let grace =
            |value: &str| HealthConfig::from_vars(&vec![("READINESS_GRACE_MS".to_owned(), value.to_owned())]);
        assert_eq!(HealthConfig::from_vars(&Vec::new()).unwrap().grace(), Duration::from_secs(10));
        assert_eq!(grace("250").unwrap().grace(), Duration::from_millis(250));
        for value in ["0", "600001", "long"] {
            let error = grace(value).unwrap_err().to_string();
            assert!(error.contains("READINESS_GRACE_MS"), "{error}");
        }
    }
}
