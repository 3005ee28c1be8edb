//! The listener for probes and metrics. It has its own thread, so that it responds while all threads and connections of
//! the API are busy, and until the API is drained.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actix_server::ServerHandle;
use actix_web::rt::System;
use actix_web::web;

use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;

use super::cors::CorsOrigins;
use super::descriptors::raise_limit;
use super::in_flight::MaxInFlight;
use super::probes;
use super::request_metrics::RequestMetrics;
use super::{AdminConfig, BindError, ConnectionMetrics, Heartbeats, Limits, Listener, listen, start_gate};
use crate::health::Health;
use crate::metrics::Registry;

/// Probes and scrapers are few. Their connections use the descriptors reserved for the process itself.
const MAX_CONNECTIONS: usize = 16;

/// Short, because an idle client must not make a probe wait for one of the few connections.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Longer than a scraper needs to receive any response.
const STALL_LIMIT: Duration = Duration::from_secs(10);

/// A running listener. Dropping it stops it.
pub struct Admin {
    address: SocketAddr,
    server: ServerHandle,
    registry: Registry,
    health: Health,
    heartbeats: Heartbeats,
}

impl Admin {
    /// Serves `/livez` and `/readyz` from `health`, and the routes that `metrics` adds, at `config`'s address, with
    /// `default_port` if it has no port. Metrics of its own connections go into `registry`.
    ///
    /// # Errors
    ///
    /// [`BindError`] when the process cannot listen on the address.
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
            limits: Limits { keep_alive: KEEP_ALIVE, ..Limits::with_stall_limit(STALL_LIMIT) },
            drain_limit_s: 0,
            metrics: ConnectionMetrics::register(registry, "admin", MAX_CONNECTIONS),
            requests: RequestMetrics::register(registry, &OpenApi::default()),
            access_log: config.access_log(),
            cors: CorsOrigins::default(),
            authenticator: None,
            in_flight: MaxInFlight::register(registry, "admin", MAX_CONNECTIONS),
            closing: CancellationToken::new(),
            gate: start_gate::open(),
            heartbeats: Heartbeats::default(),
        };
        let heartbeats = Heartbeats::default();
        let (of_probes, api_heartbeats) = (health.clone(), heartbeats.clone());
        let server = serve_on_a_thread(listener, registry.clone().run_upkeep(), move |app| {
            probes::routes(app, &of_probes, &api_heartbeats);
            metrics(app);
        });
        let server = server.map_err(failed)?;
        tracing::info!(admin.address = %address, descriptors.limit = descriptors, "serving probes and metrics");
        Ok(Self { address, server, registry: registry.clone(), health: health.clone(), heartbeats })
    }

    /// The address, with the actual port if port 0 was requested.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whether the process is ready.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// `/livez` fails if one of these is late.
    pub(super) fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // `stop` sends the command at once; its future only waits for the end.
        drop(self.server.stop(false));
    }
}

/// `upkeep` runs on the same thread.
fn serve_on_a_thread<F>(
    listener: Listener,
    upkeep: impl Future<Output = ()> + Send + 'static,
    routes: F,
) -> io::Result<ServerHandle>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    // Created here, because on its own thread an error could only panic.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (started, start) = mpsc::channel();
    let serve = move || {
        System::with_tokio_rt(|| runtime).block_on(async move {
            actix_web::rt::spawn(upkeep);
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

    use super::super::access_log::AccessLog;
    use super::*;

    #[test]
    fn a_listener_that_cannot_start_says_why() {
        let no_socket = OwnedFd::from(File::open("/dev/null").unwrap());
        let registry = Registry::new(&[]).unwrap();
        let listener = Listener {
            socket: TcpListener::from(no_socket),
            workers: 1,
            max_connections: MAX_CONNECTIONS,
            limits: Limits::with_stall_limit(STALL_LIMIT),
            drain_limit_s: 0,
            metrics: ConnectionMetrics::register(&registry, "test", MAX_CONNECTIONS),
            requests: RequestMetrics::register(&registry, &OpenApi::default()),
            access_log: AccessLog::Off,
            cors: CorsOrigins::default(),
            authenticator: None,
            in_flight: MaxInFlight::register(&registry, "test", MAX_CONNECTIONS),
            closing: CancellationToken::new(),
            gate: start_gate::open(),
            heartbeats: Heartbeats::default(),
        };
        let error = serve_on_a_thread(listener, std::future::ready(()), |_| {}).map(|_| ()).unwrap_err();
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
        let health = Health::with_grace(Duration::from_secs(1), CancellationToken::new());
        let registry = Registry::new(&[]).unwrap();
        let error = Admin::start(&config, 0, &health, &registry, |_| {}).map(|_| ()).unwrap_err();
        let text = crate::telemetry::chain(&error);
        assert!(text.contains(&format!("the probes and metrics at 127.0.0.1:{port}")), "{text}");
        assert!(text.contains("Address already in use"), "{text}");
    }
}
