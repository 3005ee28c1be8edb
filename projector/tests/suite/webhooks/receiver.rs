//! A receiver of webhooks, which lets the specification's own library verify each message.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// What it does with a message.
#[derive(Debug, Clone)]
pub(super) enum Reaction {
    /// Responds with this status.
    Status(u16),
    /// Responds with this status and `Retry-After`.
    RetryAfter(u16, String),
    /// Redirects to this URL.
    Redirect(String),
    /// Responds with 200 and a body of this many bytes.
    Body(usize),
    /// Does not respond.
    Hang,
    /// Responds with this status after a while.
    Slow(u16, Duration),
    /// Closes the connection without a response.
    Close,
}

pub(super) const OK: Reaction = Reaction::Status(200);

/// A message as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) json: Value,
    /// The status of the response, if it was one.
    pub(super) status: Option<u16>,
    /// How many requests were there at the same time.
    pub(super) at_once: usize,
}

impl Received {
    pub(super) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn kind(&self) -> &str {
        self.text("/type")
    }

    pub(super) fn order(&self) -> &str {
        self.text("/data/order/order_id")
    }

    pub(super) fn version(&self) -> i64 {
        self.json.pointer("/data/order/version").and_then(Value::as_i64).unwrap_or_default()
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    pub(super) fn verify(&self, secret: &str) -> Result<()> {
        Ok(Webhook::new(secret)?.verify(&self.body, &self.headers)?)
    }
}

type React = dyn FnMut(&Received) -> Reaction + Send;

/// What the connections of a receiver share.
struct State {
    /// Shared: tests look at them often, while the projector runs in the same thread.
    received: Mutex<Vec<Arc<Received>>>,
    react: Mutex<Box<React>>,
    requests: Semaphore,
}

const REQUESTS_MAX: usize = 10_000;

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running receiver; it ends when dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Accepts everything.
    pub(super) fn start() -> Result<Self> {
        Self::start_with(|_| OK)
    }

    pub(super) fn start_with(react: impl FnMut(&Received) -> Reaction + Send + 'static) -> Result<Self> {
        let state = State {
            received: Mutex::default(),
            react: Mutex::new(Box::new(react)),
            requests: Semaphore::new(REQUESTS_MAX),
        };
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::new(state))
    }

    fn listen(address: SocketAddr, state: Arc<State>) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(1_024)?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        Ok(Self { address, state, task })
    }

    /// Ends it in the middle of its requests. [`Stopped::start_again`] starts it at the same address.
    pub(super) fn kill(self) -> Stopped {
        Stopped { address: self.address, state: Arc::clone(&self.state) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/orders", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn react(&self, react: impl FnMut(&Received) -> Reaction + Send + 'static) {
        *lock(&self.state.react) = Box::new(react);
    }

    /// All messages so far, in the order of their arrival.
    pub(super) fn received(&self) -> Vec<Arc<Received>> {
        lock(&self.state.received).clone()
    }

    pub(super) fn accepted_count(&self) -> usize {
        lock(&self.state.received).iter().filter(|received| received.is_accepted()).count()
    }

    /// Order and version of each message that it accepted, in the order of their arrival.
    pub(super) fn accepted(&self) -> Vec<(String, i64)> {
        let received = self.received().into_iter().filter(|received| received.is_accepted());
        received.map(|received| (received.order().to_owned(), received.version())).collect()
    }

    /// The versions of each order that it accepted, without repetitions of the same id.
    pub(super) fn versions(&self) -> BTreeMap<String, Vec<i64>> {
        let mut versions: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (order, version) in self.accepted() {
            let of_order = versions.entry(order).or_default();
            if !of_order.contains(&version) {
                of_order.push(version);
            }
        }
        versions
    }
}

/// A receiver that was killed.
pub(super) struct Stopped {
    address: SocketAddr,
    state: Arc<State>,
}

impl Stopped {
    pub(super) fn start_again(self) -> Result<Receiver> {
        Receiver::listen(self.address, self.state).context("the receiver cannot start again")
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    // Dropped with this task: connections end when the receiver is killed.
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| respond(request, Arc::clone(&state)));
            let _closed = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>, state: Arc<State>) -> io::Result<Response<Full<Bytes>>> {
    let permit = state.requests.acquire().await;
    let at_once = REQUESTS_MAX - state.requests.available_permits();
    let headers = request.headers().clone();
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    let mut received = Received { headers, body, json, status: None, at_once };
    let reaction = lock(&state.react)(&received);
    received.status = match &reaction {
        Reaction::Status(status) | Reaction::RetryAfter(status, _) | Reaction::Slow(status, _) => {
            Some(*status)
        }
        Reaction::Redirect(_) => Some(307),
        Reaction::Body(_) => Some(200),
        Reaction::Hang | Reaction::Close => None,
    };
    // A message counts as accepted once a response is sent.
    if let Reaction::Slow(_, after) = &reaction {
        tokio::time::sleep(*after).await;
    }
    let status = received.status;
    lock(&state.received).push(Arc::new(received));
    let mut response = Response::new(Full::default());
    if let Some(status) = status {
        *response.status_mut() = status.try_into().map_err(io::Error::other)?;
    }
    let header = |text: &str| text.parse().map_err(io::Error::other);
    match reaction {
        Reaction::Hang => std::future::pending::<()>().await,
        Reaction::Close => return Err(io::ErrorKind::ConnectionReset.into()),
        Reaction::RetryAfter(_, value) => {
            response.headers_mut().insert(RETRY_AFTER, header(&value)?);
        }
        Reaction::Redirect(url) => {
            response.headers_mut().insert(LOCATION, header(&url)?);
        }
        Reaction::Body(bytes) => *response.body_mut() = vec![b'x'; bytes].into(),
        Reaction::Status(_) | Reaction::Slow(..) => {}
    }
    drop(permit);
    Ok(response)
}
