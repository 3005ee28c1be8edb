//! An HTTP server with limits and a graceful stop, and a second listener for probes and metrics.
//!
//! | Module | Holds |
//! |---|---|
//! | [`access_log`] | one line for each request |
//! | [`admin`] | the listener for probes and metrics |
//! | [`config`] | the variables |
//! | [`connection`], [`limits`] | the phase of a connection and its deadline |
//! | [`cors`] | pages of other origins |
//! | [`descriptors`] | divides the file descriptors |
//! | [`exchange`] | runs before each handler and after each response |
//! | [`stream`], [`timer`] | a stream with deadlines, one request at a time |
//! | [`head_end`], [`chunks_end`] | find the end of a request |
//! | [`read_quota`] | limits reads ahead of work |
//! | [`in_flight`] | limits the requests without a response |
//! | [`heartbeat`] | whether the threads still run |
//! | [`listener`] | combines the parts |
//! | [`probes`] | `/livez` and `/readyz` |
//! | [`request_path`] | the path of each request |
//! | [`request_metrics`] | how long requests take |
//! | [`refusal`] | requests that are refused before they reach a handler |
//! | [`shared_stream`] | closes a connection after the server |
//! | [`start_gate`] | connections to a new process wait until it is ready |
//! | [`connection_metrics`] | metrics of connections |

pub(crate) mod access_log;
mod admin;
mod chunks_end;
mod config;
mod connection;
mod connection_metrics;
mod cors;
mod descriptors;
mod exchange;
mod head_end;
mod heartbeat;
pub(crate) mod in_flight;
mod limits;
mod listener;
mod probes;
mod read_quota;
mod refusal;
pub(crate) mod request_metrics;
mod request_path;
mod shared_stream;
mod start_gate;
mod stream;
#[cfg(test)]
mod tests;
mod timer;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_server::Server;
use actix_web::web;
use utoipa::openapi::OpenApi;

pub use self::admin::Admin;
pub use self::config::{AdminConfig, HttpConfig};
use self::connection_metrics::ConnectionMetrics;
pub use self::descriptors::Served;
pub use self::heartbeat::Heartbeats;
use self::in_flight::MaxInFlight;
use self::limits::Limits;
use self::listener::{Listener, listen};
use self::request_metrics::RequestMetrics;
use crate::auth::Authenticator;
use crate::shutdown::Stop;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The process cannot listen on an address.
    #[error("cannot serve {what} at {address}")]
    Listen {
        /// The listener: the API, or probes and metrics.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The process may not open enough files.
    #[error(
        "too few open files: the hard limit (ulimit -Hn) is {limit}. {database_connections} are for connections to the \
         database and {own} for the process itself; {left} remain for clients, which need at least 256. Raise the \
         limit or lower DATABASE_POOL_SIZE"
    )]
    TooFewDescriptors {
        /// The hard limit.
        limit: usize,
        /// For connections to the database.
        database_connections: usize,
        /// For the process itself.
        own: usize,
        /// The rest.
        left: usize,
    },
}

/// A server that listens; [`Self::run`] serves.
pub struct BoundServer {
    address: SocketAddr,
    server: Server,
    admin: Admin,
    stop: Stop,
    shutdown_delay: Duration,
}

/// What a server offers.
pub struct Api<F> {
    /// Each of its operations has series of all its statuses from the start.
    pub document: OpenApi,
    /// Adds the resources. Create them with [`crate::resource`], so that log lines have their request.
    pub routes: F,
}

/// Listens at `config`'s address, with `default_port` if it has no port. Serves `api` over at most `served`
/// connections, from when the process is ready, or two seconds after its start. `admin` serves until the end; its
/// `/livez` checks the threads of this server.
///
/// # Errors
///
/// [`BindError`] when the process cannot listen on the address.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind<F>(
    config: &HttpConfig,
    default_port: u16,
    served: Served,
    admin: Admin,
    stop: Stop,
    authenticator: Authenticator,
    Api { document, routes }: Api<F>,
) -> Result<BoundServer, BindError>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let address = config.address(default_port);
    let failed = |source| BindError::Listen { what: "the API", address, source };
    let socket = listen(address).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let listener = Listener {
        socket,
        workers: config.http_workers,
        max_connections: served.connections(),
        limits: Limits::with_stall_limit(config.stall_limit()),
        drain_limit_s: config.drain_limit_s(),
        metrics: ConnectionMetrics::register(admin.registry(), "api", served.connections()),
        requests: RequestMetrics::register(admin.registry(), &document),
        access_log: config.access_log(),
        cors: config.cors_origins().clone(),
        authenticator: Some(authenticator.clone()),
        in_flight: MaxInFlight::register(admin.registry(), "api", config.max_in_flight()),
        closing: stop.begun.clone(),
        gate: start_gate::opened_when_ready(admin.health().clone()),
        heartbeats: admin.heartbeats().clone(),
    };
    let api_docs = config.api_docs();
    let routes = move |app: &mut web::ServiceConfig| {
        app.app_data(authenticator.clone()).app_data(api_docs);
        routes(app);
    };
    let running = listener.serve(routes).map_err(failed)?;
    // Before the process can be ready. Connections that come before wait.
    tracing::info!(http.address = %address, "listening");
    Ok(BoundServer { address, server: running, admin, stop, shutdown_delay: config.shutdown_delay() })
}

impl BoundServer {
    /// The address, with the actual port if port 0 was requested.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of probes and metrics.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Serves until stopped and drained. After the stop begins, it serves requests for another `SHUTDOWN_DELAY_MS`, so
    /// that load balancers notice, and closes each connection after its response. Then it accepts nothing new and
    /// finishes requests in flight.
    ///
    /// # Errors
    ///
    /// The operating system's, when the server fails.
    pub async fn run(&mut self) -> io::Result<()> {
        let requested = async {
            self.stop.begun.cancelled().await;
            tokio::time::sleep(self.shutdown_delay).await;
        };
        tokio::select! {
            ended = &mut self.server => {
                self.stop.drain.cancel();
                return ended;
            }
            () = requested => {}
        }
        self.stop.drain.cancel();
        // `stop` sends the command at once; its future only waits for the end.
        drop(self.server.handle().stop(true));
        (&mut self.server).await?;
        tracing::info!("stopped: all requests are finished");
        Ok(())
    }
}
