//! An HTTP server with its limits and a graceful stop, and a second listener for the probes and the metrics.
//!
//! | Module | Holds |
//! |---|---|
//! | [`admin`] | the listener of the probes and the metrics |
//! | [`config`] | the variables |
//! | [`connection`], [`limits`] | what a connection is doing, and for how long it may |
//! | [`descriptors`] | how many connections there are descriptors for |
//! | [`edge`] | what is done with every request and response |
//! | [`head_end`], [`chunks_end`], [`stream`], [`timer`] | the deadlines of a connection, and one request after the other |
//! | [`heartbeat`] | whether the threads still run |
//! | [`listener`] | all of it together |
//! | [`probes`] | `/livez` and `/readyz` |
//! | [`shared`] | closing a connection that the server has left |
//! | [`stats`] | what is counted |

mod admin;
mod chunks_end;
mod config;
mod connection;
mod descriptors;
mod edge;
mod head_end;
mod heartbeat;
mod limits;
mod listener;
mod probes;
mod refusal;
mod shared;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod timer;
mod turn;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_server::Server;
use actix_web::web;

pub use self::admin::Admin;
pub use self::config::{AdminConfig, HttpConfig};
pub use self::descriptors::{Served, check_descriptors};
use self::edge::Closing;
pub use self::heartbeat::Heartbeats;
use self::limits::Limits;
use self::listener::{Listener, listen};
use self::stats::Stats;
use crate::shutdown::Stop;

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
    /// The process may not open enough files.
    #[error(
        "the hard limit of open files (ulimit -Hn) is {limit}: without {database_connections} for connections to the database \
         and {own} for the process itself it leaves {left}, and at least 256 are needed"
    )]
    TooFewDescriptors {
        /// The hard limit.
        limit: usize,
        /// What the database takes of it.
        database_connections: usize,
        /// What the process itself takes.
        own: usize,
        /// What remains.
        left: usize,
    },
}

/// A server that listens and is ready to be run.
pub struct BoundServer {
    address: SocketAddr,
    server: Server,
    admin: Admin,
    closing: Closing,
    stop: Stop,
    shutdown_delay: Duration,
}

/// Listens at `config`'s address, or at `default_port` where it names none, and serves `routes` over `served` connections. The
/// routes' resources are made by [`crate::resource`]: it gives their log lines a request to belong to. `admin` serves until the
/// end, and tells there whether the threads of this server still run.
///
/// # Errors
///
/// [`BindError`] when the address cannot be listened on.
pub fn bind<F>(
    config: &HttpConfig,
    default_port: u16,
    served: Served,
    admin: Admin,
    stop: Stop,
    routes: F,
) -> Result<BoundServer, BindError>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let address = config.address(default_port);
    let failed = |source| BindError::Listen { what: "the API", address, source };
    let socket = listen(address).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let closing = Closing::default();
    let listener = Listener {
        socket,
        workers: config.http_workers,
        max_connections: served.connections(),
        limits: Limits::with_stall(config.stall_limit()),
        drain_limit_s: config.drain_limit_s(),
        stats: Stats::register(admin.registry(), "api"),
        closing: closing.clone(),
        heartbeats: admin.heartbeats().clone(),
    };
    let running = listener.serve(routes).map_err(failed)?;
    Ok(BoundServer {
        address,
        server: running,
        admin,
        closing,
        stop,
        shutdown_delay: config.shutdown_delay(),
    })
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

    /// Serves until stopped and drained. Once the stop has begun, requests are served for `SHUTDOWN_DELAY_MS` more, each response
    /// ending its connection, while load balancers take notice; then nothing new is accepted, and what is in flight is finished.
    ///
    /// # Errors
    ///
    /// The operating system's, when the server cannot go on.
    pub async fn run(mut self) -> io::Result<()> {
        tracing::info!(http.address = %self.address, "listening");
        let requested = async {
            self.stop.begun.cancelled().await;
            self.closing.begin();
            tokio::time::sleep(self.shutdown_delay).await;
        };
        tokio::select! {
            ended = &mut self.server => return ended,
            () = requested => {}
        }
        self.stop.drain.cancel();
        // The command is sent at once; the future only waits for the end.
        drop(self.server.handle().stop(true));
        self.server.await?;
        tracing::info!("stopped: nothing is in flight");
        Ok(())
    }
}
