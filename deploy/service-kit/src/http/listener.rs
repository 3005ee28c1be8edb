//! A listener: its threads and limits, and the path of each connection and request.

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::Server;
use actix_service::{ServiceFactoryExt, apply_fn_factory, fn_service, map_config};
use actix_web::dev::{AppConfig, Service};
use actix_web::rt::net::TcpStream;
use actix_web::{App, ResponseError, web};
use socket2::{Domain, Protocol as Transport, SockRef, Socket, Type};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::edge::Exchange;
use super::heartbeat::Heartbeats;
use super::limits::Limits;
use super::refusal::refusal;
use super::shared::SharedStream;
use super::stats::Stats;
use super::stream::TimedStream;
use crate::problem::Problem;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 1_024;

/// A listening socket and its settings.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) workers: usize,
    /// Of all workers together; further connections wait in the kernel's backlog.
    pub(super) max_connections: usize,
    pub(super) limits: Limits,
    /// How long requests in flight may take after the stop, in seconds.
    pub(super) drain_limit_s: u64,
    pub(super) stats: Stats,
    /// Once it is cancelled, each response ends its connection.
    pub(super) closing: CancellationToken,
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
        let Self { socket, workers, max_connections, limits, drain_limit_s, stats, closing, heartbeats } =
            self;
        let address = socket.local_addr()?;
        let builder = Server::build()
            .workers(workers)
            .max_concurrent_connections((max_connections / workers).max(1))
            .shutdown_timeout(drain_limit_s)
            .disable_signals();
        let draining = builder.graceful_shutdown_signal();
        let on_each_thread = move || {
            heartbeats.beat_on_this_thread();
            let app = App::new().configure(routes.clone()).default_service(web::to(no_such_resource));
            // One per thread: a token is a lock.
            let closing = closing.child_token();
            let app = apply_fn_factory(map_config(app, |()| AppConfig::default()), move |request, app| {
                let (exchange, request): (Exchange, Request) = Exchange::begin(request);
                let closing = closing.clone();
                let answering = match refusal(&request) {
                    Some(problem) => Err(problem),
                    None => Ok(Service::<Request>::call(app, request)),
                };
                async move {
                    let response = match answering {
                        Ok(answering) => {
                            answering.await.map_or_else(|error| error.error_response(), Into::into)
                        }
                        Err(problem) => problem.error_response(),
                    };
                    let response = Response::from(response);
                    Ok::<_, actix_web::Error>(exchange.end(response, &closing))
                }
            });
            let draining = draining.clone();
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
                .on_connect_ext(|stream: &SharedStream<TcpStream>, data| {
                    data.insert(stream.connection());
                })
                .finish(app);
            let stats = stats.clone();
            let timed = fn_service(move |stream: TcpStream| {
                limit_stalls(&stream, limits.stall_limit);
                let peer = stream.peer_addr().ok();
                let stream = SharedStream::new(TimedStream::new(stream, Connection::start(limits, &stats)));
                ready(Ok::<_, DispatchError>((stream, Protocol::Http1, peer)))
            });
            timed.and_then(apply_fn_factory(http, |accepted, http| {
                let (stream, ..): &(SharedStream<TcpStream>, _, _) = &accepted;
                let (stream, serving) = (stream.clone(), Service::<(_, _, _)>::call(http, accepted));
                async move {
                    let ended = serving.await;
                    // The server responds to a malformed head or body and drops the stream. Without this close, a
                    // client that still sends would lose the response.
                    if matches!(ended, Ok(()) | Err(DispatchError::Parse(_))) {
                        stream.close().await;
                    }
                    ended
                }
            }))
        };
        Ok(builder.listen("http", socket, on_each_thread)?.run())
    }
}

async fn no_such_resource() -> Result<&'static str, Problem> {
    Err(Problem::no_such_resource())
}

/// Without this limit the server waits forever to send the rest of a response.
fn limit_stalls(stream: &TcpStream, limit: Duration) {
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(limit)) {
        tracing::debug!(%error, "cannot limit stalls of a client");
    }
}
