//! Sends a webhook: one POST, with limits on everything that the receiver controls. No redirects, proxies or cookies.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response};
use rustls::ClientConfig;
use url::Url;

use super::address::AddressPolicy;
use super::connect::{self, Connections};
use super::endpoint::literal_address;
use super::message::Message;
use super::resolver::CheckedResolver;
pub use super::resolver::{AddressRefused, Lookup, SystemLookup};
use super::retry;

/// Most bytes of a response's body. A longer one counts by its status; its connection is closed.
const BODY_MAX: usize = 64 << 10;
/// The longest wait for the rest of a body. What it says does not matter.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

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
        Self::with_lookup(timeout, idle_max, allow_private, &system, &connect::system_tls())
    }

    /// The same with another way to resolve names, and other certificates to trust.
    #[must_use]
    pub fn with_lookup(
        timeout: Duration,
        idle_max: usize,
        allow_private: bool,
        lookup: &Arc<dyn Lookup>,
        tls_config: &ClientConfig,
    ) -> Self {
        let connections = |policy| {
            let resolver = CheckedResolver { lookup: Arc::clone(lookup), policy };
            (connect::connections(resolver, tls_config.clone(), idle_max), policy)
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
        let (reply, took) = (sent.unwrap_or(Err(SendError::Timeout(self.timeout))), start.elapsed());
        let reply = match reply {
            Ok((reply, body)) => {
                // Only a connection whose response was read can be used again; others are closed.
                let rest = self.timeout.saturating_sub(took).min(BODY_TIMEOUT);
                drop(tokio::time::timeout(rest, read_up_to_the_limit(body)).await);
                Ok(reply)
            }
            Err(error) => Err(error),
        };
        (reply, took)
    }

    /// Returns once the head of the response is there.
    async fn exchange(&self, url: &Url, message: Message) -> Result<(Reply, Incoming), SendError> {
        let is_tls = url.scheme() == "https";
        let (connections, policy) =
            if is_tls { &self.tls } else { self.plain.as_ref().ok_or(SendError::PlainRefused)? };
        check_literal(url, *policy)?;
        let agent = concat!("orders-webhooks/", env!("CARGO_PKG_VERSION"));
        let request = Request::post(url.as_str()).header(USER_AGENT, agent);
        let request =
            message.headers().into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = request.body(Full::new(message.body))?;
        let response = connect::only_while(connections.request(request)).await.map_err(classify)?;
        let reply = Reply { status: response.status().as_u16(), retry_after: retry_after(&response) };
        Ok((reply, response.into_body()))
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
