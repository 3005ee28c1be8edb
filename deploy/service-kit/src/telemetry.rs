//! Structured logs on standard output, or on standard error for commands that print something else.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{ConfigError, Vars};
use crate::log_output::{self, Flush, LogOutput};
use crate::span_fields::SpanFields;

/// `RUST_LOG`, if not set.
pub const DEFAULT_RUST_LOG: &str = "info";

/// `LOG_FORMAT`, if not set.
pub const DEFAULT_LOG_FORMAT: &str = "json";

/// Starts logging: JSON, one object per line, or text with `LOG_FORMAT=text`. `RUST_LOG` is the filter, `info` by
/// default. Errors of the HTTP server about malformed requests are only logged if `RUST_LOG` names `actix_http`,
/// because clients could fill the log with them. What the database driver logs below INFO is never logged, whatever
/// `RUST_LOG` says: it has the parameters of all statements, and so personal data and secrets.
///
/// The caller drops [`Flush`] as the last thing in the process, after its runtime has ended: that writes the last
/// lines.
///
/// # Errors
///
/// [`ConfigError`] when `RUST_LOG` or `LOG_FORMAT` is invalid.
pub fn init(vars: &Vars) -> Result<Flush, ConfigError> {
    subscribe(vars, LogOutput)?;
    Ok(log_output::start())
}

/// The same on standard error, for a command whose output others read.
///
/// # Errors
///
/// As [`init`].
pub fn init_on_standard_error(vars: &Vars) -> Result<(), ConfigError> {
    subscribe(vars, std::io::stderr)
}

fn subscribe<W>(vars: &Vars, writer: W) -> Result<(), ConfigError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let value = |name: &str| vars.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let filter = filter(value("RUST_LOG").unwrap_or(DEFAULT_RUST_LOG))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // The writer of the log reports errors itself. The subscriber would panic if it cannot print them.
        .log_internal_errors(false);
    // In tests a subscriber may already be set; it stays.
    let _already_set = match value("LOG_FORMAT").unwrap_or(DEFAULT_LOG_FORMAT) {
        "json" => subscriber.json().flatten_event(true).fmt_fields(SpanFields).try_init(),
        "text" => subscriber.try_init(),
        other => {
            let reason = format!("must be `json` or `text`, not {other:?}");
            return Err(ConfigError::Invalid { variable: "LOG_FORMAT", reason });
        }
    };
    Ok(())
}

/// Its debug lines have the bytes of each parameter.
const DRIVER: &str = "tokio_postgres";

fn filter(directives: &str) -> Result<EnvFilter, ConfigError> {
    let muted = if directives.contains("actix_http") { "" } else { ",actix_http=off" };
    // Without those that would let the driver say more.
    let directives = directives.split(',').filter(|directive| !directive.contains(DRIVER));
    let directives = directives.collect::<Vec<_>>().join(",");
    EnvFilter::try_new(format!("{directives}{muted},{DRIVER}=info")).map_err(|error| ConfigError::Invalid {
        variable: "RUST_LOG",
        reason: format!("is not a filter: {error}"),
    })
}

/// An error and all its causes on one line, for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(name: &str, value: &str) -> Vars {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn a_bad_setting_is_reported_by_name() {
        let error = init(&vars("LOG_FORMAT", "xml")).err().unwrap();
        assert_eq!(error.to_string(), "LOG_FORMAT must be `json` or `text`, not \"xml\"");
        let error = init(&vars("RUST_LOG", "runtime=loud")).err().unwrap();
        assert!(error.to_string().starts_with("RUST_LOG is not a filter"), "{error}");
    }

    #[test]
    fn malformed_requests_are_logged_only_on_request() {
        for (directives, expected) in [("info", "actix_http=off"), ("actix_http=debug", "actix_http=debug")] {
            let filter = filter(directives).unwrap().to_string();
            assert!(filter.contains(expected), "{directives}: {filter}");
        }
    }

    #[test]
    fn parameters_of_statements_are_never_logged() {
        for directives in
            ["trace", "tokio_postgres=trace", "info,tokio_postgres::query=trace,my=debug", "[a]=trace"]
        {
            let filter = filter(directives).unwrap().to_string();
            let driver: Vec<_> = filter.split(',').filter(|part| part.contains("tokio_postgres")).collect();
            assert_eq!(driver, ["tokio_postgres=info"], "{directives}: {filter}");
        }
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::fmt::Error);
        let error = Outer(std::fmt::Error);
        assert_eq!(chain(&error), format!("outer: {}", std::fmt::Error));
    }
}
