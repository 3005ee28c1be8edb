//! The `RATE_LIMIT_*` variables and `TRUSTED_PROXIES`.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv6Net};
use serde::Deserialize;

use super::client_address::TrustedProxies;
use crate::config::{self, ConfigError, Vars, in_range};

/// From one request to more than a process can serve.
const RANGE: RangeInclusive<u32> = 1..=1_000_000;

/// The bits before an IPv4 address that is written as one of IPv6.
const IPV4_MAPPED_BITS: u8 = 96;

/// Networks of proxies are not larger, and a few that are would be everybody.
const SHORTEST_PREFIX_V4: u8 = 8;
const SHORTEST_PREFIX_V6: u8 = 16;
/// The private addresses of IPv6 (RFC 4193).
const UNIQUE_LOCAL: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7));

/// The shares of callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharesConfig {
    /// Of the subject of a customer's token, and of an address without a valid token.
    pub(super) customer: ShareConfig,
    /// Of a service: the subject of a token without a customer claim.
    pub(super) service: ShareConfig,
    /// Bodies of one subject that have not arrived yet, at once.
    pub(super) arrivals: usize,
    /// `TRUSTED_PROXIES`: addresses and networks of proxies whose `X-Forwarded-For` counts. Default none.
    pub(super) trusted_proxies: TrustedProxies,
}

/// What one caller may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShareConfig {
    pub(super) per_s: NonZeroU32,
    pub(super) burst: NonZeroU32,
    pub(super) streams: u32,
    pub(super) waits: u32,
}

/// As they are read. Each is between 1 and 1 000 000.
#[derive(Deserialize)]
#[serde(default)]
struct RawConfig {
    /// Requests a second.
    rate_limit_per_s: u32,
    /// Requests at once after a pause.
    rate_limit_burst: u32,
    /// Streams at once.
    rate_limit_streams: u32,
    /// Requests that wait at once.
    rate_limit_waits: u32,
    // The same for a service.
    rate_limit_service_per_s: u32,
    rate_limit_service_burst: u32,
    rate_limit_service_streams: u32,
    rate_limit_service_waits: u32,
    trusted_proxies: Option<String>,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            rate_limit_per_s: 100,
            rate_limit_burst: 200,
            rate_limit_streams: 20,
            rate_limit_waits: 20,
            rate_limit_service_per_s: 5_000,
            rate_limit_service_burst: 10_000,
            rate_limit_service_streams: 1_000,
            rate_limit_service_waits: 1_000,
            trusted_proxies: None,
        }
    }
}

impl RawConfig {
    fn customer(&self) -> ShareConfig {
        ShareConfig {
            per_s: at_least_one(self.rate_limit_per_s),
            burst: at_least_one(self.rate_limit_burst),
            streams: self.rate_limit_streams,
            waits: self.rate_limit_waits,
        }
    }

    fn service(&self) -> ShareConfig {
        ShareConfig {
            per_s: at_least_one(self.rate_limit_service_per_s),
            burst: at_least_one(self.rate_limit_service_burst),
            streams: self.rate_limit_service_streams,
            waits: self.rate_limit_service_waits,
        }
    }
}

/// The range of each variable excludes zero.
fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

impl Default for SharesConfig {
    fn default() -> Self {
        let raw = RawConfig::default();
        Self {
            customer: raw.customer(),
            service: raw.service(),
            arrivals: usize::MAX,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

impl SharesConfig {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::read("", vars)?;
        in_range("RATE_LIMIT_PER_S", &raw.rate_limit_per_s, &RANGE)?;
        in_range("RATE_LIMIT_BURST", &raw.rate_limit_burst, &RANGE)?;
        in_range("RATE_LIMIT_STREAMS", &raw.rate_limit_streams, &RANGE)?;
        in_range("RATE_LIMIT_WAITS", &raw.rate_limit_waits, &RANGE)?;
        in_range("RATE_LIMIT_SERVICE_PER_S", &raw.rate_limit_service_per_s, &RANGE)?;
        in_range("RATE_LIMIT_SERVICE_BURST", &raw.rate_limit_service_burst, &RANGE)?;
        in_range("RATE_LIMIT_SERVICE_STREAMS", &raw.rate_limit_service_streams, &RANGE)?;
        in_range("RATE_LIMIT_SERVICE_WAITS", &raw.rate_limit_service_waits, &RANGE)?;
        let trusted_proxies = trusted_proxies(raw.trusted_proxies.as_deref())?;
        let Self { arrivals, .. } = Self::default();
        Ok(Self { customer: raw.customer(), service: raw.service(), arrivals, trusted_proxies })
    }

    /// Of the `in_flight` requests of a thread, half at most may be of one subject whose bodies have not arrived yet.
    /// All connections of a subject may be the same thread's, so this is the limit of the process.
    pub(crate) fn leave_half_of_in_flight(&mut self, in_flight: usize) {
        self.arrivals = (in_flight / 2).max(1);
    }

    /// Of `total` streams, and as many waits, one subject may have half at most, whatever the variables say. Logs what
    /// this leaves.
    pub(crate) fn leave_half_of(&mut self, total: usize) {
        let half = u32::try_from(total / 2).unwrap_or(u32::MAX).max(1);
        let Self { customer, service, .. } = self;
        for share in [&mut *customer, service] {
            *share = share.with_at_most(half);
        }
        tracing::info!(
            customer.streams = customer.streams,
            customer.waits = customer.waits,
            service.streams = service.streams,
            service.waits = service.waits,
            "limits of streams and waits of one subject"
        );
    }
}

impl ShareConfig {
    fn with_at_most(self, long_lived: u32) -> Self {
        Self { streams: self.streams.min(long_lived), waits: self.waits.min(long_lived), ..self }
    }
}

fn trusted_proxies(value: Option<&str>) -> Result<TrustedProxies, ConfigError> {
    let nets = value.into_iter().flat_map(|list| list.split(',')).map(|item| net(item.trim()));
    Ok(TrustedProxies(nets.collect::<Result<_, _>>()?))
}

fn net(item: &str) -> Result<IpNet, ConfigError> {
    let variable = "TRUSTED_PROXIES";
    let net: Result<IpNet, _> = item.parse::<IpAddr>().map(IpNet::from).or_else(|_| item.parse());
    let Ok(net) = net.map(canonical) else {
        let reason = format!("must be a list of addresses and networks such as 10.0.0.0/8, not {item:?}");
        return Err(ConfigError::Invalid { variable, reason });
    };
    let shortest = if net.addr().is_ipv4() { SHORTEST_PREFIX_V4 } else { SHORTEST_PREFIX_V6 };
    if net.prefix_len() < shortest && !UNIQUE_LOCAL.contains(&net) {
        let reason = format!("must not be as large as {item}: clients in it could choose their address");
        return Err(ConfigError::Invalid { variable, reason });
    }
    Ok(net)
}

/// The network of IPv4 addresses, if it is written as one of IPv6: peers are compared as IPv4.
fn canonical(net: IpNet) -> IpNet {
    let bits = net.prefix_len().checked_sub(IPV4_MAPPED_BITS);
    match (net.addr().to_canonical(), bits) {
        (address @ IpAddr::V4(_), Some(bits)) if net.addr().is_ipv6() => {
            IpNet::new(address, bits).unwrap_or(net)
        }
        _ => net,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<SharesConfig, String> {
        let vars = vec![(name.to_owned(), value.to_owned())];
        SharesConfig::from_vars(&vars).map_err(|error| error.to_string())
    }

    #[test]
    fn one_subject_has_half_of_all_streams_and_waits_at_most() {
        let limits = |total| {
            let mut shares = SharesConfig::default();
            shares.leave_half_of(total);
            [shares.customer, shares.service].map(|share| [share.streams, share.waits])
        };
        assert_eq!(limits(2_048), [[20, 20], [1_000, 1_000]]);
        assert_eq!(limits(64), [[20, 20], [32, 32]]);
        assert_eq!(limits(31), [[15, 15], [15, 15]]);
        assert_eq!(limits(1), [[1, 1], [1, 1]], "or it could have none");
    }

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        let nets = read(
            "TRUSTED_PROXIES",
            "10.0.0.0/8, 192.0.2.1,2001:db8::/32,::1,::ffff:10.0.0.0/104,::ffff:192.0.2.2,fc00::/7",
        )
        .unwrap();
        let nets: Vec<_> = nets.trusted_proxies.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            nets,
            [
                "10.0.0.0/8",
                "192.0.2.1/32",
                "2001:db8::/32",
                "::1/128",
                "10.0.0.0/8",
                "192.0.2.2/32",
                "fc00::/7"
            ]
        );
        let large =
            ["0.0.0.0/0", "0.0.0.0/1,128.0.0.0/1", "10.0.0.0/7", "::/0", "2000::/15", "::ffff:0.0.0.0/96"];
        for bad in ["", "proxy.example", "10.0.0.0/33", "10.0.0.1,"].into_iter().chain(large) {
            let error = read("TRUSTED_PROXIES", bad).unwrap_err();
            assert!(error.starts_with("TRUSTED_PROXIES must "), "{bad}: {error}");
        }
    }
}
