//! An HTTP server with its limits, the probes and a graceful stop.

use std::any::Any;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use serde::Deserialize;
use socket2::SockRef;
use tokio_util::sync::CancellationToken;

use crate::config::{self, ConfigError, Vars, in_range};
use crate::health::Health;
use crate::problem::Problem;

/// Connections that one worker thread serves at once; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS_PER_WORKER: usize = 4_096;
/// Connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 1_024;
/// How long a client may take to send the head of a request.
const REQUEST_HEAD_LIMIT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept; longer than the 60 s of common load balancers, which must close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long requests in flight may take to finish once the process is told to stop.
const DRAIN_LIMIT_S: u64 = 20;

/// Where a process listens.
#[derive(Debug, Clone, Deserialize)]
pub struct HttpConfig {
    /// `BIND_ADDRESS`: IP address to listen on. Default 127.0.0.1: reachable from outside only where that is asked for.
    #[serde(default = "loopback")]
    pub bind_address: IpAddr,
    /// `PORT`: TCP port to listen on; 0 takes a free one. The default differs by process.
    pub port: Option<u16>,
    /// `HTTP_STALL_LIMIT_MS`: a client that takes nothing of what it is sent for so long loses its connection, 100 to 600 000.
    /// Default 30 000.
    #[serde(default = "default_stall_limit_ms")]
    http_stall_limit_ms: u32,
    /// `HTTP_WORKERS`: threads that serve HTTP, 1 to 256. Default 2.
    #[serde(default = "default_workers")]
    pub http_workers: usize,
}

impl HttpConfig {
    /// How many connections are served at once, by all workers together.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.http_workers * MAX_CONNECTIONS_PER_WORKER
    }
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

const fn default_stall_limit_ms() -> u32 {
    30_000
}

const fn default_workers() -> usize {
    2
}

impl HttpConfig {
    /// Reads and checks `BIND_ADDRESS`, `PORT`, `HTTP_WORKERS` and `HTTP_STALL_LIMIT_MS`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let bind_address = vars.iter().find(|(name, _)| name == "BIND_ADDRESS").map(|(_, value)| value);
        if let Some(value) = bind_address.filter(|value| value.parse::<IpAddr>().is_err()) {
            let reason = format!("must be an IP address, not {value:?}");
            return Err(ConfigError::Invalid { variable: "BIND_ADDRESS", reason });
        }
        let config: Self = config::read("", vars)?;
        in_range("HTTP_STALL_LIMIT_MS", &config.http_stall_limit_ms, &(100..=600_000))?;
        in_range("HTTP_WORKERS", &config.http_workers, &(1..=256))?;
        Ok(config)
    }
}

/// A server that listens and is ready to be run.
pub struct BoundServer {
    address: SocketAddr,
    server: Server,
}

/// Listens at `config`'s address, or at `default_port` where it names none, and serves the probes beside `routes`, whose
/// resources are made by [`crate::resource`]: it gives their log lines a request to belong to.
/// Once `stop` is cancelled readiness goes off, nothing new is accepted, and requests in flight get 20 s to finish.
///
/// # Errors
///
/// The operating system's, when the address cannot be listened on.
pub fn bind<F>(
    config: &HttpConfig,
    default_port: u16,
    health: &Health,
    stop: CancellationToken,
    routes: F,
) -> io::Result<BoundServer>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let address = SocketAddr::new(config.bind_address, config.port.unwrap_or(default_port));
    let health = health.clone();
    let stall_limit = Duration::from_millis(config.http_stall_limit_ms.into());
    let server = HttpServer::new(move || {
        App::new()
            .configure(|app| health.routes(app))
            .configure(routes.clone())
            .default_service(web::to(|| async { Err::<&str, _>(Problem::no_such_resource()) }))
    })
    .on_connect(move |connection, _| limit_stalls(connection, stall_limit))
    .workers(config.http_workers)
    .max_connections(MAX_CONNECTIONS_PER_WORKER)
    .backlog(BACKLOG)
    .client_request_timeout(REQUEST_HEAD_LIMIT)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(DRAIN_LIMIT_S)
    .shutdown_signal(stop.cancelled_owned())
    .bind(address)?;
    let address = server.addrs().first().copied().unwrap_or(address);
    Ok(BoundServer { address, server: server.run() })
}

/// The server itself waits for ever to send the rest of an answer.
fn limit_stalls(connection: &dyn Any, limit: Duration) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>()
        && let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(limit))
    {
        tracing::warn!(%error, "the time that a client may stall cannot be limited");
    }
}

impl BoundServer {
    /// The address that it listens on, with the port that was taken where port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until stopped and drained.
    ///
    /// # Errors
    ///
    /// The operating system's, when the server cannot go on.
    pub async fn run(self) -> io::Result<()> {
        tracing::info!(http.address = %self.address, "listening");
        self.server.await?;
        tracing::info!("stopped: nothing is in flight");
        Ok(())
    }
}
