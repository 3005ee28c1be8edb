//! The ports of the services.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};
use service_kit::default_ports;
use testkit::services::ServiceKind;

#[derive(Debug)]
pub(super) struct Ports {
    write: Option<u16>,
    read: Option<u16>,
    feed: Option<u16>,
    admin: Option<u16>,
}

impl Ports {
    /// Checks that requested ports are free, before anything is built or started.
    pub(super) fn check(
        write: Option<u16>,
        read: Option<u16>,
        feed: Option<u16>,
        admin: Option<u16>,
    ) -> Result<Self> {
        for (option, requested) in
            [("--write-port", write), ("--read-port", read), ("--feed-port", feed), ("--admin-port", admin)]
        {
            if let Some(port) = requested
                && let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            {
                bail!("{option} {port} cannot be used: {error}");
            }
        }
        Ok(Self { write, read, feed, admin })
    }

    /// The ports to try, in order: requested ports only; otherwise free defaults, then any free ports.
    pub(super) fn candidates(&self, kind: ServiceKind) -> [Pair; 2] {
        // If the API uses any free port, so do probes and metrics.
        let admin_of = |api: Option<u16>, default| if api == Some(0) { 0 } else { free_or_any(default) };
        let (api, admin, default_api, default_admin) = match kind {
            ServiceKind::WriteApi => (
                self.write,
                None,
                default_ports::WRITE_API,
                admin_of(self.write, default_ports::WRITE_API_ADMIN),
            ),
            ServiceKind::ReadApi => {
                (self.read, None, default_ports::READ_API, admin_of(self.read, default_ports::READ_API_ADMIN))
            }
            ServiceKind::RevenueApi => (
                // No option of its own: any free port if read-api uses one.
                self.read.filter(|port| *port == 0),
                None,
                default_ports::REVENUE_API,
                admin_of(self.read, default_ports::REVENUE_API_ADMIN),
            ),
            ServiceKind::Projector | ServiceKind::RevenueProjector => (
                self.feed,
                self.admin,
                default_ports::PROJECTOR,
                admin_of(self.feed, default_ports::PROJECTOR_ADMIN),
            ),
        };
        let first = Pair {
            api: api.unwrap_or_else(|| free_or_any(default_api)),
            admin: admin.unwrap_or(default_admin),
        };
        // Another process may use a default port by then.
        [first, Pair { api: api.unwrap_or(0), admin: admin.unwrap_or(0) }]
    }
}

/// The ports of one service; 0 is any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) api: u16,
    pub(super) admin: u16,
}

fn free_or_any(port: u16) -> u16 {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() { port } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requested_port_in_use_is_an_error_that_names_the_option() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Ports::check(Some(0), Some(port), Some(0), Some(0)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--read-port {port} cannot be used")), "{error}");
    }

    #[test]
    fn a_default_port_in_use_is_replaced_but_a_requested_one_is_not() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(free_or_any(taken.local_addr().unwrap().port()), 0);
        let ports = Ports { write: None, read: Some(0), feed: Some(0), admin: Some(7) };
        assert_eq!(ports.candidates(ServiceKind::WriteApi)[1], Pair { api: 0, admin: 0 });
        assert_eq!(ports.candidates(ServiceKind::ReadApi), [Pair { api: 0, admin: 0 }; 2]);
        assert_eq!(ports.candidates(ServiceKind::Projector), [Pair { api: 0, admin: 7 }; 2]);
    }
}
