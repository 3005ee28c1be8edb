//! Which ports the services listen on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};

use crate::services::ServiceKind;

#[derive(Debug)]
pub(super) struct Ports {
    write: u16,
    read: u16,
    admin: u16,
}

impl Ports {
    /// A port that was asked for must be free. A default that is taken gives way to a free one.
    pub(super) fn choose(write: Option<u16>, read: Option<u16>, admin: Option<u16>) -> Result<Self> {
        // All three are held until all are chosen, so that none is chosen twice.
        let (write, _write) = choose("--write-port", write, 8081)?;
        let (read, _read) = choose("--read-port", read, 8082)?;
        let (admin, _admin) = choose("--admin-port", admin, 8083)?;
        Ok(Self { write, read, admin })
    }

    pub(super) fn of(&self, kind: ServiceKind) -> u16 {
        match kind {
            ServiceKind::WriteApi => self.write,
            ServiceKind::ReadApi => self.read,
            ServiceKind::Projector => self.admin,
        }
    }
}

fn choose(option: &str, asked_for: Option<u16>, default: u16) -> Result<(u16, TcpListener)> {
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match asked_for {
        Some(port) => match listen(port) {
            Ok(listener) => listener,
            Err(error) => bail!("{option} {port} cannot be used: {error}"),
        },
        None => listen(default).or_else(|_taken| listen(0)).context("no free port")?,
    };
    Ok((listener.local_addr()?.port(), listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_was_asked_for_and_is_taken_is_an_error_that_names_the_option() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Ports::choose(Some(0), Some(port), Some(0)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--read-port {port} cannot be used")), "{error}");
    }

    #[test]
    fn three_free_ports_are_three_different_ports() {
        let ports = Ports::choose(Some(0), Some(0), Some(0)).unwrap();
        assert!(
            ports.write != ports.read && ports.read != ports.admin && ports.write != ports.admin,
            "{ports:?}"
        );
    }
}
