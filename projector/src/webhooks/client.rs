//! Sends a webhook: one POST, with limits on everything that the receiver controls. No redirects, proxies or cookies.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tower_service::Service;
use url::Url;

use super::address::AddressPolicy;
use super::endpoint::literal_address;
use super::message::Message;
use super::retry;

/// The longest wait for a connection, TLS not included. The whole request has a limit of its own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection stays open without a request.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Most bytes of a response's head, and of its body. A response with a longer body counts by its status; its connection
/// is closed.
const HEAD_MAX: usize = 64 << 10;
const BODY_MAX: usize = 64 << 10;

/// What a receiver replied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long it asks not to be sent anything.
    pub retry_after: Option<Duration>,
}

impl Reply {
    /// Whether the receiver has accepted the message.
    #[must_use]
    pub fn is_success(self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// `WEBHOOK_TIMEOUT_MS` has passed.
    #[error("no response within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The address may not be used.
    #[error(transparent)]
    AddressRefused(#[from] AddressRefused),
    /// The URL does not use TLS, which only private addresses may do without, and only if a setting allows them.
    #[error("a URL that is not https needs WEBHOOK_ALLOW_PRIVATE=true")]
    PlainRefused,
    /// The URL, or a header, cannot be sent.
    #[error("the request cannot be made")]
    Request(#[from] hyper::http::Error),
    /// Connecting, TLS or HTTP failed.
    #[error("the request failed")]
    Failed(#[from] hyper_util::client::legacy::Error),
}

/// A name or URL leads only to addresses that this policy refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct AddressRefused(AddressPolicy);

impl AddressRefused {
    const fn text(self) -> &'static str {
        match self.0 {
            AddressPolicy::Public => {
                "the address is not public; WEBHOOK_ALLOW_PRIVATE=true allows private addresses and loopback"
            }
            AddressPolicy::PublicOrPrivate => "the address is link-local, multicast or reserved",
            AddressPolicy::Private => "the address is not private, and the URL is not https",
        }
    }
}

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `name`.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Asks the system.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let lookup = async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        };
        lookup.boxed()
    }
}

/// Resolves the name for each new connection and removes addresses that the policy refuses. A name may lead to another
/// address each time, so that a check at another moment would prove nothing.
#[derive(Clone)]
struct CheckedResolver {
    lookup: Arc<dyn Lookup>,
    policy: AddressPolicy,
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, policy) = (self.lookup.lookup(name.as_str().to_owned()), self.policy);
        let checked = async move {
            let found = found.await?;
            let allowed: Vec<_> = found
                .into_iter()
                .filter(|address| policy.allows(*address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if allowed.is_empty() {
                Err(io::Error::other(AddressRefused(policy)))
            } else {
                Ok(allowed.into_iter())
            }
        };
        checked.boxed()
    }
}

type Connections = Client<HttpsConnector<HttpConnector<CheckedResolver>>, Full<Bytes>>;

/// Sends webhooks over kept connections.
#[derive(Clone)]
pub struct WebhookClient {
    tls: (Connections, AddressPolicy),
    /// Only with `WEBHOOK_ALLOW_PRIVATE`.
    plain: Option<(Connections, AddressPolicy)>,
    timeout: Duration,
}

impl WebhookClient {
    /// A client whose requests take at most `timeout`, with up to `idle_max` unused connections to each host.
    #[must_use]
    pub fn new(timeout: Duration, idle_max: usize, allow_private: bool) -> Self {
        let system: Arc<dyn Lookup> = Arc::new(SystemLookup);
        Self::with_lookup(timeout, idle_max, allow_private, &system)
    }

    /// The same with another way to resolve names.
    #[must_use]
    pub fn with_lookup(
        timeout: Duration,
        idle_max: usize,
        allow_private: bool,
        lookup: &Arc<dyn Lookup>,
    ) -> Self {
        let tls_config = tls_config();
        let connections = |policy| {
            let resolver = CheckedResolver { lookup: Arc::clone(lookup), policy };
            (connections(resolver, tls_config.clone(), idle_max), policy)
        };
        let tls = if allow_private { AddressPolicy::PublicOrPrivate } else { AddressPolicy::Public };
        let plain = allow_private.then(|| connections(AddressPolicy::Private));
        Self { tls: connections(tls), plain, timeout }
    }

    /// The longest time that a request takes.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends `message`, and returns the reply and how long it took.
    pub async fn send(&self, url: &Url, message: Message) -> (Result<Reply, SendError>, Duration) {
        let start = Instant::now();
        let sent = tokio::time::timeout(self.timeout, self.exchange(url, message)).await;
        let reply = sent.unwrap_or(Err(SendError::Timeout(self.timeout)));
        (reply, start.elapsed())
    }

    async fn exchange(&self, url: &Url, message: Message) -> Result<Reply, SendError> {
        let is_tls = url.scheme() == "https";
        let (connections, policy) =
            if is_tls { &self.tls } else { self.plain.as_ref().ok_or(SendError::PlainRefused)? };
        check_literal(url, *policy)?;
        let request = Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("orders-webhooks/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", &message.signature)
            .body(Full::new(message.body))?;
        let response = connections.request(request).await.map_err(classify)?;
        let reply = Reply { status: response.status().as_u16(), retry_after: retry_after(&response) };
        // Only a connection whose response was read can be used again.
        read_up_to_the_limit(response.into_body()).await;
        Ok(reply)
    }
}

/// The resolver is not called for an address.
fn check_literal(url: &Url, policy: AddressPolicy) -> Result<(), AddressRefused> {
    match literal_address(url) {
        Some(address) if !policy.allows(address) => Err(AddressRefused(policy)),
        _ => Ok(()),
    }
}

fn classify(error: hyper_util::client::legacy::Error) -> SendError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(known) = cause {
        // `io::Error` passes over the error in it as a source.
        let inner = known.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(refused) = inner.and_then(|inner| inner.downcast_ref::<AddressRefused>()) {
            return SendError::AddressRefused(*refused);
        }
        cause = known.source();
    }
    SendError::Failed(error)
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    retry::retry_after(response.headers().get(RETRY_AFTER)?.to_str().ok()?, Utc::now())
}

/// A body that breaks off does not change what the status says.
async fn read_up_to_the_limit(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > BODY_MAX {
            return;
        }
    }
}

fn connections(resolver: CheckedResolver, tls_config: ClientConfig, idle_max: usize) -> Connections {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls_config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .http1_max_buf_size(HEAD_MAX)
        .build(connector)
}

/// Trusts the system's certificates. Without any, requests fail and say so; the process has other work to do.
fn tls_config() -> ClientConfig {
    match ClientConfig::builder().with_native_roots() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "the system has no CA certificates; no webhook can be sent over https");
            ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
        }
    }
}
