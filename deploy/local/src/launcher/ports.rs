//! Which ports the services listen on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

use crate::services::ServiceKind;

#[derive(Debug)]
pub(super) struct Ports {
    write: Option<u16>,
    read: Option<u16>,
    admin: Option<u16>,
}

impl Ports {
    /// A port that was asked for must be free: better to know before anything is built and started.
    pub(super) fn check(write: Option<u16>, read: Option<u16>, admin: Option<u16>) -> Result<Self> {
        for (option, asked_for) in [("--write-port", write), ("--read-port", read), ("--admin-port", admin)] {
            if let Some(port) = asked_for
                && let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            {
                bail!("{option} {port} cannot be used: {error}");
            }
        }
        Ok(Self { write, read, admin })
    }

    /// The ports to try, in order: the one that was asked for and no other, or the default and then any free one.
    pub(super) fn of(&self, kind: ServiceKind) -> Vec<u16> {
        let (asked_for, default) = match kind {
            ServiceKind::WriteApi => (self.write, 8081),
            ServiceKind::ReadApi => (self.read, 8082),
            ServiceKind::Projector => (self.admin, 8083),
        };
        asked_for.map_or(vec![default, 0], |port| vec![port])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_was_asked_for_and_is_taken_is_an_error_that_names_the_option() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Ports::check(Some(0), Some(port), Some(0)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--read-port {port} cannot be used")), "{error}");
    }

    #[test]
    fn a_default_that_is_taken_gives_way_but_what_was_asked_for_does_not() {
        let ports = Ports::check(None, Some(0), None).unwrap();
        assert_eq!(ports.of(ServiceKind::WriteApi), [8081, 0]);
        assert_eq!(ports.of(ServiceKind::ReadApi), [0]);
    }
}
