//! A listener: its threads and limits, and the path of each connection and request.

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use actix_http::body::{BoxBody, EitherBody};
use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::Server;
use actix_service::{ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config};
use actix_web::dev::{AppConfig, Service, ServiceResponse};
use actix_web::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpRequest, HttpResponse, web};
use socket2::{Domain, Protocol as Transport, SockRef, Socket, Type};
use tokio_util::sync::CancellationToken;

use super::access_log::AccessLog;
use super::connection::Connection;
use super::connection_metrics::ConnectionMetrics;
use super::cors::{self, CorsOrigins};
use super::exchange::{Exchange, ResponseBody};
use super::heartbeat::Heartbeats;
use super::in_flight::{InFlight, MaxInFlight};
use super::limits::Limits;
use super::refusal::refusal;
use super::request_metrics::RequestMetrics;
use super::shared_stream::SharedStream;
use super::stream::TimedStream;
use crate::auth::guard as auth_guard;
use crate::problem::Problem;
use crate::request_id;

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
    /// `None` if its requests are not measured.
    pub(super) requests: Option<RequestMetrics>,
    pub(super) access_log: AccessLog,
    pub(super) in_flight: MaxInFlight,
    pub(super) cors: CorsOrigins,
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
        let Self { socket, workers, max_connections, limits, drain_limit_s, .. } = self;
        let Self { metrics, requests, access_log, in_flight, cors, closing, heartbeats, .. } = self;
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
                // One token per thread: a token is a lock.
                .finish(request_service(
                    routes.clone(),
                    closing.child_token(),
                    in_flight.clone(),
                    requests.clone(),
                    access_log,
                    &cors,
                ));
            let serve_connection = apply_fn_factory(http, |connection: Accepted, http| {
                let stream = connection.0.clone();
                close_after(Service::<Accepted>::call(http, connection), stream)
            });
            accept_service(limits, metrics.clone()).and_then(serve_connection)
        };
        Ok(builder.listen("http", socket, on_each_thread)?.run())
    }
}

/// Gives each new connection its deadlines.
fn accept_service(
    limits: Limits,
    metrics: ConnectionMetrics,
) -> impl ServiceFactory<TcpStream, Config = (), Response = Accepted, Error = DispatchError, InitError = ()> {
    fn_service(move |stream: TcpStream| {
        limit_stalls(&stream, limits.stall_limit);
        let peer = stream.peer_addr().ok();
        let stream = SharedStream::new(TimedStream::new(stream, Connection::start(limits, &metrics)));
        ready(Ok((stream, Protocol::Http1, peer)))
    })
}

/// Routes each request within its [`Exchange`]. Every response has the id of its request.
fn request_service<F>(
    routes: F,
    closing: CancellationToken,
    max_in_flight: MaxInFlight,
    metrics: Option<RequestMetrics>,
    access_log: AccessLog,
    cors: &CorsOrigins,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = Response<ResponseBody>,
    Error = actix_web::Error,
    InitError = (),
> + use<F>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let (in_flight, metrics) =
        (InFlight::new(max_in_flight), metrics.map(|metrics| Rc::new(metrics.on_this_thread())));
    let app = App::new().wrap(cors.middleware()).configure(routes).default_service(web::to(no_such_resource));
    apply_fn_factory(map_config(app, |()| AppConfig::default()), move |request, app| {
        let mut request: Request = request;
        let request_id = request_id::assign(&mut request);
        let (exchange, request) = Exchange::begin(request, access_log, request_id.clone());
        let (closing, metrics) = (closing.clone(), metrics.clone());
        let refused = refusal(&request).map_or_else(|| exchange.begin_work(&in_flight), Err);
        let handling = refused.map(|()| Service::<Request>::call(app, request));
        async move {
            let response = match handling {
                Ok(handling) => handling.await.map_or_else(HttpResponse::from_error, unwrap_cors),
                Err(problem) => HttpResponse::from_error(problem),
            };
            let response = Response::from(with_instance(response, &request_id));
            let mut response = exchange.end(response, &closing, metrics.as_deref());
            response.headers_mut().insert(request_id::X_REQUEST_ID.clone(), request_id);
            response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            Ok(response)
        }
    })
}

/// A problem document names the request.
fn with_instance(response: HttpResponse, request_id: &HeaderValue) -> HttpResponse {
    let problem = response.error().and_then(|error| error.as_error::<Problem>());
    match problem.map(|problem| problem.document(request_id.to_str().unwrap_or_default())) {
        Some(document) => response.set_body(BoxBody::new(document)),
        None => response,
    }
}

fn unwrap_cors(response: ServiceResponse<EitherBody<EitherBody<BoxBody>>>) -> HttpResponse {
    response.map_body(|_, body| cors::unwrap(body)).into()
}

/// Closes `stream` when the server has finished with it.
async fn close_after(
    serving: impl Future<Output = Result<(), DispatchError>>,
    stream: ClientStream,
) -> Result<(), DispatchError> {
    let ended = serving.await;
    // The server responds to a malformed head or body and drops the stream. Without this close, a client that still
    // sends would lose the response.
    if matches!(ended, Ok(()) | Err(DispatchError::Parse(_))) {
        stream.close().await;
    }
    ended
}

async fn no_such_resource(request: HttpRequest) -> Result<&'static str, Problem> {
    auth_guard::check_open(request.app_data(), &request)?;
    Err(Problem::no_such_resource())
}

/// Without this limit the server waits forever to send the rest of a response.
fn limit_stalls(stream: &TcpStream, limit: Duration) {
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(limit)) {
        tracing::debug!(%error, "cannot limit stalls of a client");
    }
}
