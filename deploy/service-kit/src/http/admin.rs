//! The listener of the probes and the metrics. It has threads of its own, so that it answers while the API's threads and
//! connections are all taken, and until the API has been drained.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actix_server::ServerHandle;
use actix_web::rt::System;
use actix_web::web;

use super::descriptors::raise_limit;
use super::probes;
use super::{AdminConfig, BindError, Closing, Heartbeats, Limits, Listener, Stats, listen};
use crate::health::Health;
use crate::metrics::Registry;

/// Probes and scrapers are few. These connections come out of the descriptors that are kept back for the process itself.
const MAX_CONNECTIONS: usize = 16;

/// A client that keeps its connection must not hold one of so few for long: the next one would be a probe that has to wait.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// No response is larger than a scraper can take in this time.
const STALL_LIMIT: Duration = Duration::from_secs(10);

/// A running listener; it stops when it is dropped.
pub struct Admin {
    address: SocketAddr,
    server: ServerHandle,
    registry: Registry,
    heartbeats: Heartbeats,
}

impl Admin {
    /// Serves `/livez` and `/readyz` as `health` says, and what `metrics` adds, at `config`'s address, or at `default_port` where
    /// it names none. What is counted of connections goes into `registry`.
    ///
    /// # Errors
    ///
    /// [`BindError`] when the address cannot be listened on.
    pub fn start<F>(
        config: &AdminConfig,
        default_port: u16,
        health: &Health,
        registry: &Registry,
        metrics: F,
    ) -> Result<Self, BindError>
    where
        F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        let descriptors = raise_limit();
        let address = config.address(default_port);
        let failed = |source| BindError::Listen { what: "the probes and metrics", address, source };
        let socket = listen(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let listener = Listener {
            socket,
            workers: 1,
            max_connections: MAX_CONNECTIONS,
            limits: Limits { keep_alive: KEEP_ALIVE, ..Limits::with_stall(STALL_LIMIT) },
            drain_limit_s: 0,
            stats: Stats::register(registry, "admin"),
            closing: Closing::default(),
            heartbeats: Heartbeats::default(),
        };
        let heartbeats = Heartbeats::default();
        let (health, of_the_api) = (health.clone(), heartbeats.clone());
        let server = serve_on_a_thread(listener, move |app| {
            probes::routes(app, &health, &of_the_api);
            metrics(app);
        });
        let server = server.map_err(failed)?;
        tracing::info!(admin.address = %address, descriptors.limit = descriptors, "serving probes and metrics");
        Ok(Self { address, server, registry: registry.clone(), heartbeats })
    }

    /// The address that it listens on, with the port that was taken where port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// `/livez` fails when one of these is late.
    pub(super) fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // The command is sent at once; the future only waits for the end.
        drop(self.server.stop(false));
    }
}

fn serve_on_a_thread<F>(listener: Listener, routes: F) -> io::Result<ServerHandle>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    // Made here: on its own thread it could only panic.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (started, start) = mpsc::channel();
    let serve = move || {
        System::with_tokio_rt(|| runtime).block_on(async move {
            let server = match listener.serve(routes) {
                Ok(server) => server,
                Err(error) => {
                    let _gone = started.send(Err(error));
                    return;
                }
            };
            let _gone = started.send(Ok(server.handle()));
            if let Err(error) = server.await {
                tracing::error!(%error, "the probes and metrics are no longer served");
            }
        });
    };
    thread::Builder::new().name("admin".to_owned()).spawn(serve)?;
    start.recv().map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_listener_that_cannot_start_says_why() {
        let no_socket = OwnedFd::from(File::open("/dev/null").unwrap());
        let listener = Listener {
            socket: TcpListener::from(no_socket),
            workers: 1,
            max_connections: MAX_CONNECTIONS,
            limits: Limits::with_stall(STALL_LIMIT),
            drain_limit_s: 0,
            stats: Stats::register(&Registry::new(&[]).unwrap(), "test"),
            closing: Closing::default(),
            heartbeats: Heartbeats::default(),
        };
        let error = serve_on_a_thread(listener, |_| {}).map(|_| ()).unwrap_err();
        assert!(
            error.to_string().contains("not a socket") || error.to_string().contains("non-socket"),
            "{error}"
        );
    }

    #[test]
    fn an_address_that_is_taken_is_named_with_the_reason() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let vars = vec![("ADMIN_PORT".to_owned(), port.to_string())];
        let config = AdminConfig::from_vars(&vars).unwrap();
        let health = Health::with_grace(Duration::from_secs(1), tokio_util::sync::CancellationToken::new());
        let registry = Registry::new(&[]).unwrap();
        let error = Admin::start(&config, 0, &health, &registry, |_| {}).map(|_| ()).unwrap_err();
        let said = crate::telemetry::chain(&error);
        assert!(said.contains(&format!("the probes and metrics at 127.0.0.1:{port}")), "{said}");
        assert!(said.contains("Address already in use"), "{said}");
    }
}
