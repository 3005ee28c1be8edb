//! The `WEBHOOK_*` variables.

use std::time::Duration;

use serde::Deserialize;
use service_kit::config::{self, ConfigError, Vars, in_range};

use super::client::WebhookClient;
use super::in_flight::MemoryLimits;
use super::retry::DeliveryPolicy;

/// The `WEBHOOK_*` variables.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// `WEBHOOK_ALLOW_PRIVATE`: whether webhooks may be sent to private addresses and to loopback, and there without
    /// TLS. Default false.
    pub allow_private: bool,
    /// `WEBHOOK_PARALLEL`: most requests to one endpoint at once, of all processes together, 1 to 100. Default 8. The
    /// processes should agree.
    pub parallel: usize,
    /// `WEBHOOK_PARALLEL_TOTAL`: most requests of this process at once, 1 to 10 000. Default 256. Each endpoint has one
    /// more, so that none can keep others from being sent anything.
    pub parallel_total: usize,
    /// `WEBHOOK_TIMEOUT_MS`: how long a request may take, 100 to 60 000. Default 10 000.
    pub timeout: Duration,
    /// Pauses and limits, which no variable changes.
    pub policy: DeliveryPolicy,
    /// The memory for payloads in flight, which no variable changes.
    pub memory: MemoryLimits,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    allow_private: bool,
    #[serde(default = "default_parallel")]
    parallel: usize,
    #[serde(default = "default_parallel_total")]
    parallel_total: usize,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u64,
}

const fn default_parallel() -> usize {
    8
}

const fn default_parallel_total() -> usize {
    256
}

const fn default_timeout_ms() -> u64 {
    10_000
}

impl WebhookConfig {
    /// Reads and checks the `WEBHOOK_*` variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::read("WEBHOOK_", vars)?;
        in_range("WEBHOOK_PARALLEL", &raw.parallel, &(1..=100))?;
        in_range("WEBHOOK_PARALLEL_TOTAL", &raw.parallel_total, &(1..=10_000))?;
        in_range("WEBHOOK_TIMEOUT_MS", &raw.timeout_ms, &(100..=60_000))?;
        Ok(Self {
            allow_private: raw.allow_private,
            parallel: raw.parallel,
            parallel_total: raw.parallel_total,
            timeout: Duration::from_millis(raw.timeout_ms),
            policy: DeliveryPolicy::default(),
            memory: MemoryLimits::default(),
        })
    }

    /// A client with these limits.
    #[must_use]
    pub fn client(&self) -> WebhookClient {
        WebhookClient::new(self.timeout, self.parallel, self.allow_private)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_reported_by_name() {
        for (name, value) in [
            ("WEBHOOK_ALLOW_PRIVATE", "yes"),
            ("WEBHOOK_PARALLEL", "0"),
            ("WEBHOOK_PARALLEL_TOTAL", "10001"),
            ("WEBHOOK_TIMEOUT_MS", "99"),
        ] {
            let error =
                WebhookConfig::from_vars(&vec![(name.to_owned(), value.to_owned())]).unwrap_err().to_string();
            assert!(error.contains(name), "{name}={value}: {error}");
        }
    }
}
