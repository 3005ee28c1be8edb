//! The addresses of a process, and the limits of its connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::access_log::AccessLog;
use super::cors::CorsOrigins;
use crate::config::{self, ConfigError, Vars, in_range};
use crate::openapi::ApiDocs;
use crate::shares::SharesConfig;

/// Limit of delay and drain together. The end of the process itself takes about another second.
const LONGEST_STOP: Duration = Duration::from_secs(24);

/// How long requests in flight may take to finish.
const LONGEST_DRAIN_S: u64 = 20;

const ACCESS_LOG: &str = "ACCESS_LOG";
const ACCESS_LOGS: [&str; 3] = ["off", "errors", "all"];

/// The settings of the API's listener.
#[derive(Debug, Clone, Deserialize)]
pub struct HttpConfig {
    /// `BIND_ADDRESS`: IP address to listen on. Default 127.0.0.1, not reachable from outside.
    #[serde(default = "loopback")]
    bind_address: IpAddr,
    /// `PORT`: TCP port to listen on; 0 for any free one. The default is the process's.
    port: Option<u16>,
    /// `HTTP_STALL_LIMIT_MS`: a client that receives no byte of its response for this long is disconnected, 100 to 600
    /// 000. Default 30 000.
    #[serde(default = "default_stall_limit_ms")]
    http_stall_limit_ms: u32,
    /// `HTTP_MAX_CONNECTIONS`: client connections served at once, if there are enough descriptors, 256 to 1 000 000.
    /// Default 8 192.
    #[serde(default = "default_max_connections")]
    http_max_connections: usize,
    /// `SHUTDOWN_DELAY_MS`: how long requests are still served after the stop begins, so that load balancers notice, 0
    /// to 20 000. Default 5 000.
    #[serde(default = "default_shutdown_delay_ms")]
    shutdown_delay_ms: u32,
    /// `HTTP_WORKERS`: threads that serve HTTP, 1 to 256. Default 2.
    #[serde(default = "default_workers")]
    pub http_workers: usize,
    /// `HTTP_MAX_IN_FLIGHT`: requests of one thread that have no response yet, 1 to 1 000 000; further ones get a 503.
    /// Those that wait, and streams, have other limits. Default 1 024.
    #[serde(default = "default_max_in_flight")]
    http_max_in_flight: usize,
    /// `CORS_ORIGINS`: origins of other pages that may use the API, separated by commas. Default none.
    cors_origins: Option<String>,
    /// `API_DOCS`: `on` serves `/openapi.json` and `/docs/`. Default `off`.
    #[serde(default)]
    api_docs: ApiDocs,
    /// `ACCESS_LOG`: `all` requests have a line in the log, those that end in `errors`, or none (`off`). Default `all`.
    #[serde(default)]
    access_log: AccessLog,
    #[serde(skip)]
    cors: CorsOrigins,
    /// The `RATE_LIMIT_*` variables and `TRUSTED_PROXIES`.
    #[serde(skip)]
    shares: SharesConfig,
}

/// The address of probes and metrics.
#[derive(Debug, Clone, Deserialize)]
pub struct AdminConfig {
    /// `ADMIN_ADDRESS`: IP address to listen on. Default 127.0.0.1.
    #[serde(default = "loopback")]
    admin_address: IpAddr,
    /// `ADMIN_PORT`: TCP port to listen on; 0 for any free one. The default is the process's.
    admin_port: Option<u16>,
    /// `ACCESS_LOG`, as for the API. Probes and scrapes have their lines at DEBUG only.
    #[serde(default)]
    access_log: AccessLog,
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

const fn default_stall_limit_ms() -> u32 {
    30_000
}

const fn default_max_connections() -> usize {
    8_192
}

const fn default_shutdown_delay_ms() -> u32 {
    5_000
}

const fn default_max_in_flight() -> usize {
    1_024
}

const fn default_workers() -> usize {
    2
}

impl HttpConfig {
    /// Reads and checks `BIND_ADDRESS`, `PORT`, `SHUTDOWN_DELAY_MS` and the `HTTP_*` variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        check_address("BIND_ADDRESS", vars)?;
        check_word("API_DOCS", &["on", "off"], vars)?;
        check_word(ACCESS_LOG, &ACCESS_LOGS, vars)?;
        let mut config: Self = config::read("", vars)?;
        config.cors = CorsOrigins::parse(config.cors_origins.as_deref())?;
        config.shares = SharesConfig::from_vars(vars)?;
        in_range("HTTP_STALL_LIMIT_MS", &config.http_stall_limit_ms, &(100..=600_000))?;
        in_range("HTTP_MAX_CONNECTIONS", &config.http_max_connections, &(256..=1_000_000))?;
        in_range("SHUTDOWN_DELAY_MS", &config.shutdown_delay_ms, &(0..=20_000))?;
        in_range("HTTP_MAX_IN_FLIGHT", &config.http_max_in_flight, &(1..=1_000_000))?;
        config.shares.leave_half_of_in_flight(config.http_max_in_flight);
        in_range("HTTP_WORKERS", &config.http_workers, &(1..=256))?;
        Ok(config)
    }

    /// The address to listen on.
    pub(crate) fn ip(&self) -> IpAddr {
        self.bind_address
    }

    pub(super) fn address(&self, default_port: u16) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.port.unwrap_or(default_port))
    }

    pub(crate) fn shares(&self) -> &SharesConfig {
        &self.shares
    }

    /// At least this many requests may be in flight, whatever `HTTP_MAX_IN_FLIGHT` is.
    #[must_use]
    pub fn with_in_flight_at_least(mut self, requests: usize) -> Self {
        self.http_max_in_flight = self.http_max_in_flight.max(requests);
        self.shares.leave_half_of_in_flight(self.http_max_in_flight);
        self
    }

    /// One subject may have half of `total` streams at most, and half of as many waits, whatever the `RATE_LIMIT_*`
    /// variables say. Logs what this leaves.
    #[must_use]
    pub fn with_half_of_long_lived(mut self, total: usize) -> Self {
        self.shares.leave_half_of(total);
        self
    }

    pub(super) fn cors_origins(&self) -> &CorsOrigins {
        &self.cors
    }

    pub(super) fn access_log(&self) -> AccessLog {
        self.access_log
    }

    pub(super) fn api_docs(&self) -> ApiDocs {
        self.api_docs
    }

    pub(super) fn max_in_flight(&self) -> usize {
        self.http_max_in_flight
    }

    pub(super) fn max_connections(&self) -> usize {
        self.http_max_connections
    }

    pub(super) fn shutdown_delay(&self) -> Duration {
        Duration::from_millis(self.shutdown_delay_ms.into())
    }

    /// How long requests in flight may take to finish, in seconds. With the delay before, this ends within 25 s; the
    /// server checks once a second.
    pub(super) fn drain_limit_s(&self) -> u64 {
        let left = LONGEST_STOP.saturating_sub(self.shutdown_delay());
        left.as_secs().min(LONGEST_DRAIN_S)
    }

    pub(super) fn stall_limit(&self) -> Duration {
        Duration::from_millis(self.http_stall_limit_ms.into())
    }
}

impl AdminConfig {
    /// Reads and checks `ADMIN_ADDRESS`, `ADMIN_PORT` and `ACCESS_LOG`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        check_address("ADMIN_ADDRESS", vars)?;
        check_word(ACCESS_LOG, &ACCESS_LOGS, vars)?;
        config::read("", vars)
    }

    pub(super) fn access_log(&self) -> AccessLog {
        self.access_log
    }

    pub(super) fn address(&self, default_port: u16) -> SocketAddr {
        SocketAddr::new(self.admin_address, self.admin_port.unwrap_or(default_port))
    }
}

/// serde's message for an invalid address does not name the variable.
fn check_address(variable: &'static str, vars: &Vars) -> Result<(), ConfigError> {
    let value = vars.iter().find(|(name, _)| name == variable).map(|(_, value)| value);
    match value.filter(|value| value.parse::<IpAddr>().is_err()) {
        Some(value) => {
            Err(ConfigError::Invalid { variable, reason: format!("must be an IP address, not {value:?}") })
        }
        None => Ok(()),
    }
}

/// serde's message for another word does not name the variable.
fn check_word(variable: &'static str, words: &[&str], vars: &Vars) -> Result<(), ConfigError> {
    let value = vars.iter().find(|(name, _)| name == variable).map(|(_, value)| value.as_str());
    if value.is_none_or(|value| words.contains(&value)) {
        return Ok(());
    }
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    Err(ConfigError::Invalid { variable, reason: format!("must be {}", quoted.join(" or ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, value: &str) -> Result<HttpConfig, ConfigError> {
        HttpConfig::from_vars(&vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_bad_value_is_reported_by_name() {
        for (name, value) in [
            ("BIND_ADDRESS", "everywhere"),
            ("PORT", "65536"),
            ("HTTP_WORKERS", "0"),
            ("HTTP_WORKERS", "257"),
            ("HTTP_MAX_IN_FLIGHT", "0"),
            ("API_DOCS", "yes"),
            ("ACCESS_LOG", "ALL"),
            ("ACCESS_LOG", "probes"),
            ("CORS_ORIGINS", "*"),
            ("HTTP_STALL_LIMIT_MS", "99"),
            ("HTTP_MAX_CONNECTIONS", "255"),
            ("HTTP_MAX_CONNECTIONS", "many"),
            ("SHUTDOWN_DELAY_MS", "20001"),
            ("SHUTDOWN_DELAY_MS", "-1"),
        ] {
            let error = config(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{name}={value}: {error}");
        }
        let error = AdminConfig::from_vars(&vec![("ADMIN_ADDRESS".to_owned(), "x".to_owned())]).unwrap_err();
        assert_eq!(error.to_string(), "ADMIN_ADDRESS must be an IP address, not \"x\"");
    }

    #[test]
    fn delay_and_drain_end_within_25_seconds_and_both_have_time() {
        for (delay, drain) in [("0", 20), ("4000", 20), ("5000", 19), ("5001", 18), ("20000", 4)] {
            let config = config("SHUTDOWN_DELAY_MS", delay).unwrap();
            assert_eq!(config.drain_limit_s(), drain, "{delay}");
            assert!(config.shutdown_delay() + Duration::from_secs(drain) <= LONGEST_STOP, "{delay}");
        }
        assert_eq!(config("PORT", "0").unwrap().shutdown_delay(), Duration::from_secs(5));
    }
}
