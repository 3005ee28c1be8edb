//! What every service needs to run well. It knows nothing of orders.
//!
//! Without the feature `web` there is no HTTP server, and nothing that is served by one.
//!
//! | Module | Gives |
//! |---|---|
//! | [`config`] | variables read once through envy, errors that name the variable |
//! | [`telemetry`] | structured logs |
//! | [`database`] | a bounded pool of PostgreSQL connections, every wait limited |
//! | [`default_ports`] | the ports of the services |
//! | [`http`] | an HTTP server with its limits, the probes and a graceful stop |
//! | [`health`] | whether the process is ready for traffic |
//! | [`metrics`] | what `/metrics` answers |
//! | [`overload`] | log lines that clients can cause, at most one a second |
//! | [`openapi`] | the API document, served with a page to read it |
//! | [`problem`] | RFC 9457 problem documents |
//! | [`resource`] | resources that answer to the right methods |
//! | [`shutdown`] | SIGTERM and SIGINT as a cancellation token |
//! | [`stored_time`] | a `timestamptz` that can always be read |
//! | [`tasks`] | background tasks whose death ends the process |

pub mod config;
pub mod database;
pub mod default_ports;
pub mod health;
#[cfg(feature = "web")]
pub mod http;
#[cfg(feature = "web")]
pub mod metrics;
#[cfg(feature = "web")]
pub mod openapi;
pub mod overload;
#[cfg(feature = "web")]
pub mod problem;
#[cfg(feature = "web")]
pub mod resource;
pub mod shutdown;
pub mod stored_time;
#[cfg(feature = "web")]
pub mod tasks;
pub mod telemetry;
