//! What each service needs to run. It has no code about orders.
//!
//! The feature `web` adds the HTTP server and the modules that need it.
//!
//! | Module | Gives |
//! |---|---|
//! | [`arguments`] | the arguments of a process; errors never repeat them |
//! | [`auth`] | access tokens, and what each caller may do |
//! | [`config`] | environment variables, read once; errors name the variable |
//! | [`telemetry`] | structured logs |
//! | [`database`] | a bounded pool of PostgreSQL connections, every wait limited |
//! | [`default_ports`] | the ports of the services |
//! | [`http`] | an HTTP server with limits, probes and a graceful stop |
//! | [`health`] | whether the process is ready for traffic |
//! | [`log_output`] | whether the log can be written |
//! | [`metrics`] | the metrics served at `/metrics` |
//! | [`overload`] | repeated log lines: at most one a second, with a count |
//! | [`openapi`] | the OpenAPI document, and a page to read it |
//! | [`preference`] | `Prefer: wait=<seconds>` |
//! | [`problem`] | RFC 9457 problem documents |
//! | [`process`] | runs a process, and reports its failure |
//! | [`request_id`] | `X-Request-Id` |
//! | [`resource`] | resources with 405 for wrong methods, and a tracing span |
//! | [`secret_file`] | secrets from a variable or a file |
//! | [`shares`] | how much one caller may use |
//! | [`shutdown`] | SIGTERM and SIGINT as a cancellation token |
//! | [`stored_time`] | reads any `timestamptz` |
//! | [`tasks`] | background tasks; the process ends if one dies |
//! | [`traces`] | what became of requests and events, sent to a collector |

pub mod arguments;
#[cfg(feature = "web")]
pub mod auth;
pub mod config;
pub mod database;
pub mod default_ports;
mod files;
pub mod health;
#[cfg(feature = "web")]
pub mod http;
#[cfg(feature = "web")]
mod https;
pub mod log_output;
#[cfg(feature = "web")]
pub mod metrics;
#[cfg(feature = "web")]
pub mod openapi;
pub mod overload;
#[cfg(feature = "web")]
pub mod preference;
#[cfg(feature = "web")]
pub mod problem;
pub mod process;
#[cfg(feature = "web")]
pub mod request_id;
#[cfg(feature = "web")]
pub mod resource;
pub mod secret_file;
#[cfg(feature = "web")]
pub mod shares;
pub mod shutdown;
mod span_fields;
pub mod stored_time;
#[cfg(feature = "web")]
pub mod tasks;
pub mod telemetry;
#[cfg(test)]
mod test_log;
#[cfg(feature = "web")]
pub mod traces;
