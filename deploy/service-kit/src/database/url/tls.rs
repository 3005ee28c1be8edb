//! The parameters of a URL for TLS: those of libpq, which tokio-postgres does not know.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::super::tls::{ClientFiles, Roots, Tls};
use super::parts::Parts;

/// The parameters that this module reads, and tokio-postgres does not see.
pub(super) const PARAMETERS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

const WRITE: &str = "write sslmode=verify-full&sslrootcert=FILE (or sslrootcert=system), or sslmode=disable on a \
                     network that you trust";

/// What the parameters say.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    mode: Option<Mode>,
    roots: Option<Roots>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    VerifyFull,
}

impl Parameters {
    pub(super) fn parse(parts: &Parts<'_>) -> Result<Self, String> {
        let mut read = Self::default();
        let mut seen = Vec::new();
        for (name, value) in parts.parameters().filter(|(name, _)| PARAMETERS.contains(name)) {
            if seen.contains(&name) {
                return Err(format!("has the parameter {name:?} twice"));
            }
            seen.push(name);
            let value = percent_decode_str(value).decode_utf8();
            let value = value.ok().filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| format!("has an invalid value for the parameter {name:?}"))?;
            match name {
                "sslmode" => read.mode = Some(Mode::parse(&value)?),
                "sslrootcert" if value == "system" => read.roots = Some(Roots::System),
                "sslrootcert" => read.roots = Some(Roots::File(value.as_ref().into())),
                "sslcert" => read.certificate = Some(value.as_ref().into()),
                _ => read.key = Some(value.as_ref().into()),
            }
        }
        Ok(read)
    }

    /// Sets the mode of `config`. The result says how TLS verifies; `None` is a connection without TLS.
    pub(super) fn apply(self, config: &mut Config) -> Result<Option<Tls>, String> {
        let has_socket = config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_)));
        let are_sockets = !config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        // A connection string cannot have our parameters, and the driver has read its mode.
        let mode_of_string = config.get_ssl_mode();
        config.ssl_mode(SslMode::Disable);
        // The driver connects to the address then, where no socket vouches for the server.
        if has_socket && !config.get_hostaddrs().is_empty() {
            return Err("has hostaddr for a socket: name a host with it, or the socket only".to_owned());
        }
        match self.mode {
            None if mode_of_string == SslMode::Require => {
                Err(format!("must be a URL for TLS, postgres://…: {WRITE}"))
            }
            None if mode_of_string == SslMode::Disable => Ok(None),
            None if self.has_files() => Err(format!("has a certificate, but no sslmode: {WRITE}")),
            None if is_local(config) => Ok(None),
            None => Err(format!(
                "has no sslmode, and leads to a host that is neither a socket nor loopback: {WRITE}"
            )),
            Some(Mode::Disable) if self.has_files() => {
                Err(format!("has a certificate, which sslmode=disable does not use: {WRITE}"))
            }
            Some(Mode::Disable) => Ok(None),
            // As libpq does: there is no TLS on a socket.
            Some(Mode::VerifyFull) if are_sockets => Ok(None),
            Some(Mode::VerifyFull) if has_socket => {
                Err("asks for TLS, which a socket does not have: name hosts only, or sockets only".to_owned())
            }
            Some(Mode::VerifyFull) => {
                config.ssl_mode(SslMode::Require);
                self.tls().map(Some)
            }
        }
    }

    fn has_files(&self) -> bool {
        self.roots.is_some() || self.certificate.is_some() || self.key.is_some()
    }

    fn tls(self) -> Result<Tls, String> {
        let roots =
            self.roots.ok_or("needs sslrootcert=FILE, with the CA's certificate, or sslrootcert=system")?;
        let client = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(ClientFiles { certificate, key }),
            (None, None) => None,
            _ => return Err("needs both sslcert and sslkey, or none of them".to_owned()),
        };
        Ok(Tls { roots, client })
    }
}

impl Mode {
    fn parse(value: &str) -> Result<Self, String> {
        match value {
            "disable" => Ok(Self::Disable),
            "verify-full" | "require" => Ok(Self::VerifyFull),
            "allow" | "prefer" => Err(format!("has sslmode={value}, which may connect without TLS: {WRITE}")),
            "verify-ca" => Err(format!("has sslmode=verify-ca, which does not check the host: {WRITE}")),
            _ => Err(format!("has an invalid value for the parameter \"sslmode\": {WRITE}")),
        }
    }
}

/// Whether no connection leaves this machine. An address decides where one is set: the driver connects to it.
fn is_local(config: &Config) -> bool {
    if !config.get_hostaddrs().is_empty() {
        return config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn tls(url: &str) -> Result<Option<Tls>, String> {
        parse(url).map(|parsed| parsed.tls).map_err(|error| error.to_string())
    }

    fn error(url: &str) -> String {
        tls(url).unwrap_err()
    }

    #[test]
    fn verify_full_and_require_are_the_same() {
        for mode in ["verify-full", "require"] {
            let file =
                tls(&format!("postgres://app@db.example/orders?sslmode={mode}&sslrootcert=%2Fca%20.pem"));
            assert_eq!(file.unwrap().unwrap(), Tls { roots: Roots::File("/ca .pem".into()), client: None });
            let url = format!("postgres://db/o?sslrootcert=system&sslmode={mode}&sslcert=/c&sslkey=/k");
            let client = Some(ClientFiles { certificate: "/c".into(), key: "/k".into() });
            assert_eq!(tls(&url).unwrap().unwrap(), Tls { roots: Roots::System, client });
            let config = parse(&url).unwrap().config;
            assert_eq!(config.get_ssl_mode(), SslMode::Require);
        }
    }

    #[test]
    fn a_socket_and_loopback_need_no_mode() {
        for url in [
            "postgres://app@localhost/orders",
            "postgres://app@127.0.0.1:5433/orders",
            "postgres://app@[::1]/orders",
            "postgres://app@localhost,127.9.0.1/orders",
            "postgres://app@%2Frun%2Fpostgresql/orders",
            "postgres:///orders?host=/run/postgresql",
            "postgres://app@db.example/orders?hostaddr=127.0.0.1",
            "postgres://app@db.example/orders?sslmode=disable",
            "postgres://app@%2Frun/orders?sslmode=verify-full&sslrootcert=system",
            "host=localhost user=app",
            "host=db.example user=app sslmode=disable",
        ] {
            assert_eq!(tls(url), Ok(None), "{url}");
            assert_eq!(parse(url).unwrap().config.get_ssl_mode(), SslMode::Disable, "{url}");
        }
    }

    #[test]
    fn a_host_without_a_mode_is_refused_and_the_error_says_what_to_write() {
        for url in [
            "postgres://app:hunter2@db.example/orders",
            "postgres://app:hunter2@localhost,db.example/orders",
            "postgres://app:hunter2@10.0.0.1/orders",
            "postgres://app:hunter2@localhost.example/orders",
            "postgres://app:hunter2@localhost/orders?hostaddr=10.0.0.1",
            "postgres://app:hunter2@localhost/orders?host=db.example",
            "postgres://app:hunter2@%2Frun,db.example/orders",
            "host=db.example user=app password=hunter2",
        ] {
            let error = error(url);
            assert!(error.starts_with("DATABASE_URL has no sslmode, and leads to a host"), "{url}: {error}");
            assert!(error.contains("write sslmode=verify-full&sslrootcert=FILE"), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[test]
    fn a_mode_that_does_not_verify_is_refused_and_the_error_says_what_to_write() {
        let url = |host: &str, rest: &str| format!("postgres://app:hunter2@{host}/orders?{rest}");
        for (parameters, expected) in [
            ("sslmode=allow", "has sslmode=allow, which may connect without TLS: write sslmode=verify-full"),
            (
                "sslmode=prefer",
                "has sslmode=prefer, which may connect without TLS: write sslmode=verify-full",
            ),
            (
                "sslmode=verify-ca&sslrootcert=/ca",
                "has sslmode=verify-ca, which does not check the host: write",
            ),
            ("sslmode=full", "has an invalid value for the parameter \"sslmode\": write sslmode=verify-full"),
            ("sslmode=", "has an invalid value for the parameter \"sslmode\""),
            (
                "sslmode=verify-full",
                "needs sslrootcert=FILE, with the CA's certificate, or sslrootcert=system",
            ),
            ("sslmode=require", "needs sslrootcert=FILE, with the CA's certificate, or sslrootcert=system"),
            ("sslmode=require&sslrootcert=system&sslcert=/c", "needs both sslcert and sslkey"),
            ("sslmode=disable&sslmode=require", "has the parameter \"sslmode\" twice"),
            ("sslmode=disable&sslrootcert=/ca", "has a certificate, which sslmode=disable does not use"),
            ("sslrootcert=/ca", "has a certificate, but no sslmode: write sslmode=verify-full"),
        ] {
            for host in ["db.example", "localhost"] {
                let error = error(&url(host, parameters));
                assert!(error.starts_with(&format!("DATABASE_URL {expected}")), "{parameters}: {error}");
            }
        }
        let mixed = error(&url("%2Frun,db.example", "sslmode=require&sslrootcert=system"));
        assert!(mixed.starts_with("DATABASE_URL asks for TLS, which a socket does not have"), "{mixed}");
        let string = error("host=db.example user=app sslmode=require");
        assert!(string.starts_with("DATABASE_URL must be a URL for TLS"), "{string}");
    }

    #[test]
    fn an_address_for_a_socket_is_refused_because_the_driver_would_connect_to_it_without_tls() {
        for mode in ["", "&sslmode=disable", "&sslmode=require&sslrootcert=system"] {
            for host in ["%2Frun", "%2Frun,db.example"] {
                let error = error(&format!("postgres://app@{host}/orders?hostaddr=10.0.0.1{mode}"));
                assert!(
                    error.starts_with("DATABASE_URL has hostaddr for a socket"),
                    "{host} {mode}: {error}"
                );
            }
        }
        assert!(error("host=/run hostaddr=127.0.0.1").starts_with("DATABASE_URL has hostaddr for a socket"));
    }
}
