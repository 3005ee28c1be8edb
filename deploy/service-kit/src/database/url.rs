//! Which `DATABASE_URL` is accepted. An error names the wrong parameter, and never shows a possible secret.

mod parts;
mod tls;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use self::parts::Parts;
use super::tls::Tls;
use crate::config::ConfigError;

/// Parameters of tokio-postgres, and those for TLS.
const PARAMETERS: &[&str] = &[
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Further parameters of libpq, which a connection string may have.
const PARAMETERS_OF_LIBPQ: &[&str] = &[
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
    "sslsni",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "keepalives_count",
];

/// Parameters of other clients that URLs often have.
const PARAMETERS_OF_OTHERS: &[&str] =
    &["schema", "pgbouncer", "pool_timeout", "connection_limit", "search_path"];

/// What the driver reads in `url`, for tools that start other programs. It has no parameters for TLS.
///
/// # Errors
///
/// [`ConfigError`] for `DATABASE_URL`, which names the wrong parameter and never shows the URL.
pub fn read_url(url: &str) -> Result<Config, ConfigError> {
    parse(url).map(|parsed| parsed.config)
}

/// What a URL says.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) config: Config,
    /// `target_session_attrs`, if the URL sets it.
    pub(super) kind: Option<TargetSessionAttrs>,
    /// `None` for connections without TLS.
    pub(super) tls: Option<Tls>,
}

pub(super) fn parse(url: &str) -> Result<Parsed, ConfigError> {
    let parts = Parts::parse(url);
    if let Some((name, _)) = parts.parameters().find(|(name, _)| !PARAMETERS.contains(name)) {
        return Err(invalid(unsupported(name, parts.may_hold_a_secret())));
    }
    let tls = tls::Parameters::parse(&parts).map_err(invalid)?;
    let without_tls = parts.escaped_without(&tls::PARAMETERS);
    let mut config: Config = without_tls.parse().map_err(|error| invalid(reason(&error)))?;
    if config.get_hosts().is_empty() {
        return Err(invalid("names no host"));
    }
    let names_a_kind = parts.query.contains("target_session_attrs");
    let kind = names_a_kind.then(|| config.get_target_session_attrs());
    let tls = tls.apply(&mut config).map_err(invalid)?;
    Ok(Parsed { config, kind, tls })
}

/// A copy without startup options: tokio-postgres cannot remove them from a configuration.
pub(super) fn without_options(config: &Config) -> Config {
    let mut other = Config::new();
    for host in config.get_hosts() {
        match host {
            Host::Tcp(name) => other.host(name),
            Host::Unix(path) => other.host_path(path),
        };
    }
    for address in config.get_hostaddrs() {
        other.hostaddr(*address);
    }
    for port in config.get_ports() {
        other.port(*port);
    }
    if let Some(user) = config.get_user() {
        other.user(user);
    }
    if let Some(name) = config.get_dbname() {
        other.dbname(name);
    }
    if let Some(name) = config.get_application_name() {
        other.application_name(name);
    }
    if let Some(password) = config.get_password() {
        other.password(password);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        other.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        other.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        other.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        other.keepalives_retries(retries);
    }
    other
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts())
        .target_session_attrs(config.get_target_session_attrs());
    other
}

fn unsupported(name: &str, may_be_secret: bool) -> String {
    if may_be_secret && !PARAMETERS_OF_LIBPQ.contains(&name) && !PARAMETERS_OF_OTHERS.contains(&name) {
        return "has a parameter that is not supported".to_owned();
    }
    let instead = match name {
        "schema" | "search_path" => ": write options=-c%20search_path%3DNAME",
        _ => "",
    };
    format!("has the parameter {name:?}, which is not supported{instead}")
}

/// Names the parameter that cannot be parsed if it is one that is known; another word may belong to a password.
fn reason(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let name = cause.split('`').nth(1).unwrap_or_default();
    if PARAMETERS.contains(&name) {
        format!("has an invalid value for the parameter {name:?}")
    } else if PARAMETERS_OF_LIBPQ.contains(&name) {
        format!("has the parameter {name:?}, which is not supported")
    } else {
        "is not a PostgreSQL URL".to_owned()
    }
}

pub(super) fn invalid(reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { variable: "DATABASE_URL", reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "DATABASE_URL has the parameter \"schema\", which is not supported: \
                          write options=-c%20search_path%3DNAME";

    fn error(url: &str) -> String {
        parse(url).unwrap_err().to_string()
    }

    #[test]
    fn a_parameter_that_is_not_supported_is_named() {
        for (parameter, said) in [
            ("schema=public", SCHEMA),
            ("pgbouncer=true", r#"DATABASE_URL has the parameter "pgbouncer", which is not supported"#),
            (
                "connect_timeout=5&sslcrl=x",
                r#"DATABASE_URL has the parameter "sslcrl", which is not supported"#,
            ),
            (
                "connect_timeout=soon",
                r#"DATABASE_URL has an invalid value for the parameter "connect_timeout""#,
            ),
            (
                "target_session_attrs=primary",
                r#"DATABASE_URL has an invalid value for the parameter "target_session_attrs""#,
            ),
        ] {
            assert_eq!(error(&format!("postgres://app:hunter2@db.example/orders?{parameter}")), said);
        }
        for url in ["postgres:///orders?host=/run&schema=x", "postgres://db/orders?password=hunter2&schema=x"]
        {
            assert_eq!(error(url), SCHEMA);
        }
        let string = "host=db.example user=app password=hunter2 sslcrl=x";
        assert_eq!(error(string), r#"DATABASE_URL has the parameter "sslcrl", which is not supported"#);
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "postgres://app:hunter2@db.example:port/orders",
            "postgres://app:hun?ter2=x@db.example:port/orders",
            "postgres://app:x?hunter2",
            "postgres://app:x@y?hunter2=x@db.example/orders",
            "postgres://app:x/y?hunter2=x@db.example/orders",
            "postgres://app:x@y?sslmode=hunter2@db.example/orders",
            "postgres://db.example/orders?user=app&password=x&hunter2",
            "mysql://app:hunter2@db.example/orders",
            "host=db.example password=hunter2 two=words",
            "host=db.example password=a hunter2=b",
        ] {
            let error = error(url);
            assert!(error.starts_with("DATABASE_URL ") && !error.contains("hun"), "{url:?}: {error}");
        }
    }

    #[test]
    fn the_query_may_have_an_at_sign() {
        let config = |url| parse(url).unwrap().config;
        for url in [
            "postgres://localhost/orders?application_name=a@b&user=app&password=x@y",
            "postgres:///orders?host=localhost&application_name=a@b&user=app&password=x@y",
            "postgres://app:x%40y@localhost/orders?application_name=a@b",
            "postgres://app:x/y?z@localhost/orders?application_name=a@b",
        ] {
            let config = config(url);
            assert_eq!(config.get_hosts(), [Host::Tcp("localhost".to_owned())], "{url}");
            assert_eq!(config.get_user(), Some("app"), "{url}");
            assert_eq!(config.get_dbname(), Some("orders"), "{url}");
            assert_eq!(config.get_application_name(), Some("a@b"), "{url}");
        }
        for url in [
            "postgres://app@db/orders?application_name=a@b&schema=public",
            "postgres://app@db/orders?schema=public&application_name=a@b",
            "postgres://db/orders?application_name=a@b&schema=public",
        ] {
            assert_eq!(error(url), SCHEMA);
        }
        let url = "postgres://app@db/orders?application_name=a@b&sslmode=verify-full&sslrootcert=/c@d";
        assert!(parse(url).unwrap().tls.is_some());
        let kind =
            parse("postgres://localhost/o?application_name=a@b&target_session_attrs=any").unwrap().kind;
        assert_eq!(kind, Some(TargetSessionAttrs::Any));
    }

    #[test]
    fn an_explicit_kind_of_session_differs_from_the_default() {
        let kind = |parameters| parse(&format!("postgres://app@localhost/orders{parameters}")).unwrap().kind;
        assert_eq!(kind(""), None);
        assert_eq!(kind("?target_session_attrs=any"), Some(TargetSessionAttrs::Any));
        assert_eq!(kind("?target_session_attrs=read-only"), Some(TargetSessionAttrs::ReadOnly));
    }
}
