//! Where a request comes from.

use std::net::IpAddr;

use actix_web::http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most proxies that a request may have passed.
const MAX_HOPS: usize = 16;

/// The bits of an IPv6 address that a provider gives to one customer.
const IPV6_PREFIX: u32 = 64;

/// The addresses of proxies whose `X-Forwarded-For` counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TrustedProxies(pub(super) Box<[IpNet]>);

impl TrustedProxies {
    /// The address of the client: the peer, or else the right-most address in `X-Forwarded-For` that is no trusted
    /// proxy. What stands left of that, the client can have written.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).collect();
        // As bytes: to skip a line that is not text would let the client hide the hops that proxies added to it.
        let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(MAX_HOPS) {
            let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| parse(hop.trim())) else {
                break;
            };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// An address, which some proxies write with a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let bracketed = || hop.strip_prefix('[')?.split_once(']').map(|(address, _)| address);
    let without_port = || hop.rsplit_once(':').map(|(address, _)| address);
    let address = [Some(hop), bracketed(), without_port()];
    let address = address.into_iter().flatten().find_map(|text| text.parse::<IpAddr>().ok());
    address.map(|address| address.to_canonical())
}

/// The network that counts as one client.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - IPV6_PREFIX);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"].map(|net| net.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        TrustedProxies(trusted.into()).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_right_most_untrusted_address_counts_and_only_behind_a_trusted_proxy() {
        let cases: [(&str, &[&str], &str); 19] = [
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4,198.51.100.1,  192.0.2.1, 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4", "198.51.100.1", "10.2.2.2"], "198.51.100.1"),
            ("10.0.0.1", &["10.2.2.2"], "10.2.2.2"),
            // What cannot be read ends the list of known hops.
            ("10.0.0.1", &["1.2.3.4, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4, _hidden, 10.2.2.2"], "10.2.2.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            // Not even if a part of the line is not text.
            ("10.0.0.1", &["6.6.6.6", "é, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6", "é"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4é, 10.2.2.2"], "10.2.2.2"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2a00::1]:4711"], "2a00::1"),
            ("10.0.0.1", &["[2a00::1]"], "2a00::1"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::5", &["2a00::1"], "2a00::1"),
        ];
        for (peer, lines, expected) in cases {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_long_list_of_trusted_addresses_costs_little() {
        let list = vec!["10.0.0.2"; 3_000].join(",");
        assert_eq!(client("10.0.0.1", &[&format!("198.51.100.1,{list}")]), "10.0.0.2");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let of = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(of("2a00:1:2:3:4:5:6:7"), "2a00:1:2:3::");
        assert_eq!(of("2a00:1:2:4::1"), "2a00:1:2:4::");
        assert_eq!(of("198.51.100.1"), "198.51.100.1");
    }
}
