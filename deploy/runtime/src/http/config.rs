//! Where a process listens, and the limits of its connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use crate::config::{self, ConfigError, Vars, in_range};

/// How a process serves its API.
#[derive(Debug, Clone, Deserialize)]
pub struct HttpConfig {
    /// `BIND_ADDRESS`: IP address to listen on. Default 127.0.0.1: reachable from outside only where that is asked for.
    #[serde(default = "loopback")]
    bind_address: IpAddr,
    /// `PORT`: TCP port to listen on; 0 takes a free one. The default differs by process.
    port: Option<u16>,
    /// `HTTP_STALL_LIMIT_MS`: a client that takes nothing of what it is sent for so long loses its connection, 100 to 600 000.
    /// Default 30 000.
    #[serde(default = "default_stall_limit_ms")]
    http_stall_limit_ms: u32,
    /// `HTTP_WORKERS`: threads that serve HTTP, 1 to 256. Default 2.
    #[serde(default = "default_workers")]
    pub http_workers: usize,
}

/// Where a process serves its probes and metrics.
#[derive(Debug, Clone, Deserialize)]
pub struct AdminConfig {
    /// `ADMIN_ADDRESS`: IP address to listen on. Default 127.0.0.1.
    #[serde(default = "loopback")]
    admin_address: IpAddr,
    /// `ADMIN_PORT`: TCP port to listen on; 0 takes a free one. The default differs by process.
    admin_port: Option<u16>,
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

const fn default_stall_limit_ms() -> u32 {
    30_000
}

const fn default_workers() -> usize {
    2
}

impl HttpConfig {
    /// Reads and checks `BIND_ADDRESS`, `PORT`, `HTTP_WORKERS` and `HTTP_STALL_LIMIT_MS`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        check_address("BIND_ADDRESS", vars)?;
        let config: Self = config::read("", vars)?;
        in_range("HTTP_STALL_LIMIT_MS", &config.http_stall_limit_ms, &(100..=600_000))?;
        in_range("HTTP_WORKERS", &config.http_workers, &(1..=256))?;
        Ok(config)
    }

    pub(super) fn address(&self, default_port: u16) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.port.unwrap_or(default_port))
    }

    pub(super) fn stall_limit(&self) -> Duration {
        Duration::from_millis(self.http_stall_limit_ms.into())
    }
}

impl AdminConfig {
    /// Reads and checks `ADMIN_ADDRESS` and `ADMIN_PORT`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        check_address("ADMIN_ADDRESS", vars)?;
        config::read("", vars)
    }

    pub(super) fn address(&self, default_port: u16) -> SocketAddr {
        SocketAddr::new(self.admin_address, self.admin_port.unwrap_or(default_port))
    }
}

/// serde's own message does not name the variable of an address.
fn check_address(variable: &'static str, vars: &Vars) -> Result<(), ConfigError> {
    let value = vars.iter().find(|(name, _)| name == variable).map(|(_, value)| value);
    match value.filter(|value| value.parse::<IpAddr>().is_err()) {
        Some(value) => {
            Err(ConfigError::Invalid { variable, reason: format!("must be an IP address, not {value:?}") })
        }
        None => Ok(()),
    }
}
