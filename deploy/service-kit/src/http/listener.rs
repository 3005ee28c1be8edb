//! A listener: its threads and limits, and the path of each connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use actix_http::error::{DispatchError, ParseError};
use actix_http::{HttpService, KeepAlive, Protocol};
use actix_server::Server;
use actix_service::{ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service};
use actix_web::dev::Service;
use actix_web::rt::net::TcpStream;
use actix_web::web;
use socket2::{Domain, Protocol as Transport, SockRef, Socket, Type};
use tokio_util::sync::CancellationToken;

use super::access_log::AccessLog;
use super::connection::Connection;
use super::connection_metrics::{ConnectionMetrics, Cut};
use super::cors::CorsOrigins;
use super::heartbeat::Heartbeats;
use super::in_flight::{InFlight, MaxInFlight};
use super::limits::Limits;
use super::request_metrics::RequestMetrics;
use super::request_path::{RequestPath, request_services};
use super::shared_stream::SharedStream;
use super::stream::TimedStream;
use crate::auth::Authenticator;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 1_024;

type ClientStream = SharedStream<TcpStream>;
/// What the HTTP service takes.
type Accepted = (ClientStream, Protocol, Option<SocketAddr>);

/// A listening socket and its settings.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) workers: usize,
    /// Of all workers together; further connections wait in the kernel's backlog.
    pub(super) max_connections: usize,
    pub(super) limits: Limits,
    /// How long requests in flight may take after the stop, in seconds.
    pub(super) drain_limit_s: u64,
    pub(super) metrics: ConnectionMetrics,
    pub(super) requests: RequestMetrics,
    pub(super) access_log: AccessLog,
    pub(super) in_flight: MaxInFlight,
    pub(super) cors: CorsOrigins,
    /// `None` if everybody may use it.
    pub(super) authenticator: Option<Authenticator>,
    /// Once it is cancelled, each response ends its connection.
    pub(super) closing: CancellationToken,
    /// Connections wait until it is cancelled.
    pub(super) gate: CancellationToken,
    pub(super) heartbeats: Heartbeats,
}

/// A listening socket. An address that another process just released can be used again at once.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Transport::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Listener {
    /// Serves `routes`, and a 404 problem for other paths.
    pub(super) fn serve<F>(self, routes: F) -> io::Result<Server>
    where
        F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        let Self { socket, workers, max_connections, limits, drain_limit_s, .. } = self;
        let Self {
            metrics,
            requests,
            access_log,
            in_flight,
            cors,
            authenticator,
            closing,
            gate,
            heartbeats,
            ..
        } = self;
        let address = socket.local_addr()?;
        let builder = Server::build()
            .workers(workers)
            .max_concurrent_connections((max_connections / workers).max(1))
            .shutdown_timeout(drain_limit_s)
            .disable_signals();
        let draining = builder.graceful_shutdown_signal();
        let on_each_thread = move || {
            heartbeats.beat_on_this_thread();
            let draining = draining.clone();
            let (service, expect) = request_services(
                routes.clone(),
                RequestPath {
                    // One token per thread: a token is a lock.
                    closing: closing.child_token(),
                    in_flight: InFlight::new(in_flight.clone()),
                    access_log,
                    metrics: Rc::new(requests.clone().on_this_thread()),
                    cors: cors.clone(),
                    authenticator: authenticator.clone(),
                },
            );
            // The stream has the deadlines: those of the server would set a timer for each request.
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let draining = draining.clone();
                    async move { draining.notified().await }
                })
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(limits.linger)
                .local_addr(address)
                .on_connect_ext(|stream: &ClientStream, data| {
                    data.insert(stream.connection());
                })
                .expect(expect)
                .finish(service);
            let serve_connection = apply_fn_factory(http, |connection: Accepted, http| {
                let stream = connection.0.clone();
                close_after(Service::<Accepted>::call(http, connection), stream)
            });
            accept_service(limits, metrics.clone(), gate.clone()).and_then(serve_connection)
        };
        Ok(builder.listen("http", socket, on_each_thread)?.run())
    }
}

/// Gives each new connection its deadlines.
fn accept_service(
    limits: Limits,
    metrics: ConnectionMetrics,
    gate: CancellationToken,
) -> impl ServiceFactory<TcpStream, Config = (), Response = Accepted, Error = DispatchError, InitError = ()> {
    fn_service(move |stream: TcpStream| {
        let (gate, metrics) = (gate.clone(), metrics.clone());
        async move {
            gate.cancelled().await;
            limit_stalls(&stream, limits.stall_limit);
            let peer = stream.peer_addr().ok();
            let stream = SharedStream::new(TimedStream::new(stream, Connection::start(limits, &metrics)));
            Ok((stream, Protocol::Http1, peer))
        }
    })
}

/// Closes `stream` when the server has finished with it.
async fn close_after(
    serving: impl Future<Output = Result<(), DispatchError>>,
    stream: ClientStream,
) -> Result<(), DispatchError> {
    let ended = serving.await;
    if let Some(reason) = ended.as_ref().err().and_then(not_parsed) {
        stream.connection().count_cut(reason);
    }
    // The server responds to a malformed head or body and drops the stream. Without this close, a client that still
    // sends would lose the response.
    if matches!(ended, Ok(()) | Err(DispatchError::Parse(_))) {
        stream.close().await;
    }
    ended
}

/// Why the server could not parse a head, if that ended the connection.
fn not_parsed(error: &DispatchError) -> Option<Cut> {
    match error {
        DispatchError::Parse(ParseError::TooLarge) => Some(Cut::LargeHead),
        DispatchError::Parse(_) => Some(Cut::Malformed),
        _ => None,
    }
}

/// Without this limit the server waits forever to send the rest of a response.
fn limit_stalls(stream: &TcpStream, limit: Duration) {
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(limit)) {
        tracing::debug!(%error, "cannot limit stalls of a client");
    }
}
