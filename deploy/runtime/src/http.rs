//! An HTTP server with its limits and a graceful stop, and a second listener for the probes and the metrics.

mod admin;
mod config;

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio_util::sync::CancellationToken;

pub use self::admin::Admin;
pub use self::config::{AdminConfig, HttpConfig};
use crate::problem::Problem;

/// Connections that one worker thread serves at once; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS_PER_WORKER: usize = 4_096;
/// Connections that wait in the kernel to be accepted.
const BACKLOG: i32 = 1_024;
/// How long a client may take to send the head of a request.
const REQUEST_HEAD_LIMIT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept; longer than the 60 s of common load balancers, which must close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long requests in flight may take to finish once the process is told to stop.
const DRAIN_LIMIT_S: u64 = 20;

/// Why a process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address cannot be listened on.
    #[error("cannot serve {what} at {address}")]
    Listen {
        /// What should be served there.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl HttpConfig {
    /// How many connections are served at once, by all workers together.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.http_workers * MAX_CONNECTIONS_PER_WORKER
    }
}

/// A server that listens and is ready to be run.
pub struct BoundServer {
    address: SocketAddr,
    server: Server,
    admin: Admin,
}

/// Listens at `config`'s address, or at `default_port` where it names none, and serves `routes`, whose
/// resources are made by [`crate::resource`]: it gives their log lines a request to belong to.
/// Once `stop` is cancelled nothing new is accepted, and requests in flight get 20 s to finish. `admin` serves until then.
///
/// # Errors
///
/// [`BindError`] when the address cannot be listened on.
pub fn bind<F>(
    config: &HttpConfig,
    default_port: u16,
    admin: Admin,
    stop: CancellationToken,
    routes: F,
) -> Result<BoundServer, BindError>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let address = config.address(default_port);
    let failed = |source| BindError::Listen { what: "the API", address, source };
    let listener = listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let stall_limit = config.stall_limit();
    let server = HttpServer::new(move || {
        App::new().configure(routes.clone()).default_service(web::to(no_such_resource))
    })
    .on_connect(move |connection, _| limit_stalls(connection, stall_limit))
    .workers(config.http_workers)
    .max_connections(MAX_CONNECTIONS_PER_WORKER)
    .client_request_timeout(REQUEST_HEAD_LIMIT)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(DRAIN_LIMIT_S)
    .shutdown_signal(stop.cancelled_owned())
    .listen(listener)
    .map_err(failed)?;
    Ok(BoundServer { address, server: server.run(), admin })
}

/// A socket that listens. An address that a process has just left can be taken again at once.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn no_such_resource() -> Result<&'static str, Problem> {
    Err(Problem::no_such_resource())
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

    /// The address of the probes and metrics.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
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
