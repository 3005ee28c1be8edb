//! The connection to the collector, over a runtime of its own: the library's thread that sends has none.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::{Builder, Runtime};

use crate::https;

/// Most bytes of a response. It says whether spans were refused.
const RESPONSE_MAX: usize = 64 << 10;

/// Sends requests to the collector, one at a time.
#[derive(Debug)]
pub(super) struct CollectorClient {
    runtime: Runtime,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl CollectorClient {
    /// Trusts the system's certificates, or works without TLS. Each request takes `timeout` at most.
    pub(super) fn new(timeout: Duration, is_plain: bool) -> io::Result<Self> {
        // A thread of its own: kept connections need it between two requests.
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("traces").enable_all().build()?;
        let tls = if is_plain { https::no_tls() } else { https::system_tls(warn) };
        let client = Client::builder(TokioExecutor::new()).build(https::connector(tls, is_plain));
        Ok(Self { runtime, client, timeout })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.client.request(request.map(Full::new)).await?;
        let (head, body): (_, Incoming) = response.into_parts();
        let body = Limited::new(body, RESPONSE_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

fn warn(error: &str) {
    tracing::warn!(error, "the system has no CA certificates: traces cannot be sent over https");
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Blocks only the library's thread, which does nothing else meanwhile.
        self.runtime.block_on(async { tokio::time::timeout(self.timeout, self.send(request)).await? })
    }
}
