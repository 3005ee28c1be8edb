//! Fetches the key set over HTTP: one request on a connection of its own. No redirects, proxies or cookies.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use tower_service::Service;
use url::{Position, Url};

use super::source::FetchError;
use crate::https;

/// Most bytes of a response's head.
const HEAD_MAX: usize = 64 << 10;

/// Fetches the key set from one URL.
#[derive(Clone)]
pub(in crate::auth) struct Client {
    url: Url,
    connector: HttpsConnector<HttpConnector>,
}

impl Client {
    /// Trusts the system's certificates.
    pub(super) fn new(url: Url) -> Self {
        let tls = https::system_tls(|error| {
            tracing::warn!(
                error,
                "the system has no CA certificates: the key set cannot be fetched over https"
            );
        });
        Self::with_tls(url, tls)
    }

    pub(super) fn with_tls(url: Url, tls: ClientConfig) -> Self {
        let is_plain = url.scheme() == "http";
        Self { url, connector: https::connector(tls, is_plain) }
    }

    /// The URL without user info and query, which may be secret.
    pub(super) fn public_url(&self) -> String {
        let url = &self.url;
        format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPath])
    }

    /// The body of the response, which has at most `max` bytes. Everything ends when the future is dropped.
    pub(super) async fn fetch(&self, max: usize) -> Result<Vec<u8>, FetchError> {
        let request = self.request()?;
        let mut connector = self.connector.clone();
        let target: Uri = self.url.as_str().parse().map_err(hyper::http::Error::from)?;
        std::future::poll_fn(|context| connector.poll_ready(context)).await.map_err(FetchError::Connect)?;
        let stream = connector.call(target).await.map_err(FetchError::Connect)?;
        let (mut sender, connection) = http1::Builder::new().max_buf_size(HEAD_MAX).handshake(stream).await?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(FetchError::Status(response.status().as_u16()));
            }
            read(response.into_body(), max).await
        };
        tokio::pin!(exchange);
        tokio::select! {
            body = &mut exchange => body,
            // A failed connection fails the exchange too; one that the server closed may have delivered everything.
            _ended = connection => exchange.await,
        }
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
        Request::get(&self.url[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &self.url[Position::BeforeHost..Position::AfterPort])
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("orders/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
    }
}

/// Counts the bytes as they arrive: a length may be missing or wrong.
async fn read<B>(mut body: B, max: usize) -> Result<Vec<u8>, FetchError>
where
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if bytes.len().saturating_add(data.len()) > max {
                return Err(FetchError::TooLarge(max));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}
