//! The listener of the probes and the metrics. It has a thread of its own, so that it answers while the API's threads and
//! connections are all taken, and until the API has been drained.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::{App, HttpServer, web};

use super::{AdminConfig, BindError, KEEP_ALIVE, REQUEST_HEAD_LIMIT, listen, no_such_resource};
use crate::health::Health;

/// Probes and scrapers are few. These connections come out of the descriptors that are kept back for the process itself.
const MAX_CONNECTIONS: usize = 16;

/// A running listener; it stops when it is dropped.
pub struct Admin {
    address: SocketAddr,
    server: ServerHandle,
}

impl Admin {
    /// Serves `/livez` and `/readyz` as `health` says, and what `metrics` adds, at `config`'s address, or at `default_port` where
    /// it names none.
    ///
    /// # Errors
    ///
    /// [`BindError`] when the address cannot be listened on.
    pub fn start<F>(
        config: &AdminConfig,
        default_port: u16,
        health: &Health,
        metrics: F,
    ) -> Result<Self, BindError>
    where
        F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        let address = config.address(default_port);
        let failed = |source| BindError::Listen { what: "the probes and metrics", address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let health = health.clone();
        let (tell, told) = mpsc::channel();
        let serve = move || {
            let server = HttpServer::new(move || {
                App::new()
                    .configure(|app| health.routes(app))
                    .configure(metrics.clone())
                    .default_service(web::to(no_such_resource))
            });
            let server = server
                .workers(1)
                .max_connections(MAX_CONNECTIONS)
                .client_request_timeout(REQUEST_HEAD_LIMIT)
                .keep_alive(KEEP_ALIVE)
                .disable_signals()
                .listen(listener);
            let ended = System::new().block_on(async move {
                let server = server?.run();
                let _gone = tell.send(server.handle());
                server.await
            });
            if let Err(error) = ended {
                tracing::error!(%error, "the probes and metrics are no longer served");
            }
        };
        thread::Builder::new().name("admin".to_owned()).spawn(serve).map_err(failed)?;
        let server = told.recv().map_err(|_ended| failed(io::ErrorKind::Other.into()))?;
        tracing::info!(admin.address = %address, "serving probes and metrics");
        Ok(Self { address, server })
    }

    /// The address that it listens on, with the port that was taken where port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // The command is sent at once; the future only waits for the end.
        drop(self.server.stop(false));
    }
}
