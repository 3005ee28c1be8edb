//! Which addresses a webhook may be sent to. Without this check, everyone who may add an endpoint could make the
//! projector send requests inside the private network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Only addresses of the public internet.
    Public,
    /// Also private and loopback ones (`WEBHOOK_ALLOW_PRIVATE`).
    PublicOrPrivate,
    /// Only private and loopback ones: for requests without TLS.
    Private,
}

/// The kinds of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Public,
    /// Loopback, private networks (RFC 1918, RFC 4193), and shared address space (RFC 6598).
    Private,
    /// No setting allows these: link-local addresses and others where clouds serve credentials, multicast, reserved
    /// ranges.
    Never,
}

impl AddressPolicy {
    /// Whether `address` may be connected to.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        match reach(address) {
            Reach::Public => self != Self::Private,
            Reach::Private => self != Self::Public,
            Reach::Never => false,
        }
    }
}

/// At these, too, clouds serve credentials or configuration: AWS, Google, Alibaba, Oracle and Azure.
const OF_CLOUDS: [IpAddr; 5] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

fn reach(address: IpAddr) -> Reach {
    match address {
        _ if OF_CLOUDS.contains(&address) => Reach::Never,
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    if address.is_private() || address.is_loopback() {
        return Reach::Private;
    }
    match address.octets() {
        [100, 64..=127, ..] => Reach::Private,
        // "This network", link-local, IETF assignments, 6to4 relays, benchmarks, multicast and reserved.
        [0 | 224..=255, ..] | [169, 254, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => {
            Reach::Never
        }
        _ if address.is_documentation() => Reach::Never,
        _ => Reach::Public,
    }
}

/// Public are global unicast addresses, `2000::/3`, without the special ranges in it.
fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return reach(mapped.into());
    }
    if address.is_loopback() || address.is_unique_local() {
        return Reach::Private;
    }
    match address.segments() {
        // NAT64: in a network without IPv4, a resolver returns public IPv4 addresses in this form.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => reach(embedded(high, low).into()),
        // 6to4 contains an IPv4 address too, but nobody needs it. The others are IETF assignments and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: [&str; 7] = [
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.32.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ];
    const PRIVATE: [&str; 13] = [
        "10.0.0.1",
        "127.0.0.1",
        "127.255.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "::1",
        "fc00::1",
        "fdff::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
    ];
    const NEVER: [&str; 29] = [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::7f00:1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "100.100.100.200",
        "::ffff:100.100.100.200",
        "168.63.129.16",
    ];

    fn allowed(addresses: &[&str], policy: AddressPolicy) -> usize {
        addresses.iter().filter(|address| policy.allows(address.parse().unwrap())).count()
    }

    #[test]
    fn each_policy_allows_its_addresses_only_in_every_notation() {
        for (policy, public, private) in [
            (AddressPolicy::Public, PUBLIC.len(), 0),
            (AddressPolicy::PublicOrPrivate, PUBLIC.len(), PRIVATE.len()),
            (AddressPolicy::Private, 0, PRIVATE.len()),
        ] {
            assert_eq!(allowed(&PUBLIC, policy), public, "{policy:?}");
            assert_eq!(allowed(&PRIVATE, policy), private, "{policy:?}");
            assert_eq!(allowed(&NEVER, policy), 0, "{policy:?}");
        }
    }
}
