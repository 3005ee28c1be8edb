//! Makes and keeps connections to receivers.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::Uri;
use hyper::body::Bytes;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::resolver::CheckedResolver;

/// The longest wait for a connection: name, TCP and TLS together. The whole request has a limit of its own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait for TCP, for all addresses of the name together: TLS shall have some time left.
const TCP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection stays open without a request.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// When a silent connection is probed, so that one whose other side is gone ends.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long a receiver may leave sent bytes unread. Without this, TLS would wait for one that never reads when it
/// closes the connection.
const UNREAD_TIMEOUT: Duration = Duration::from_mins(1);
/// Most bytes of a response's head.
const HEAD_MAX: usize = 64 << 10;

pub(super) type Connections = Client<Limited<HttpsConnector<HttpConnector<CheckedResolver>>>, Full<Bytes>>;

tokio::task_local! {
    /// Ends with the request that this task sends.
    static REQUEST: CancellationToken;
}

/// Gives up connections that `request` began to make and that are not ready when it ends.
///
/// If a kept connection becomes free first, the client uses that one and goes on with the new one in the background. A
/// receiver that answers on one connection and never completes others would then hold more of them with each request,
/// with no limit but their timeout. So there are never more unready connections than requests.
pub(super) async fn only_while<F: Future>(request: F) -> F::Output {
    let ended = CancellationToken::new();
    let _guard = ended.clone().drop_guard();
    REQUEST.scope(ended, request).await
}

/// Limits how long a connector works on one connection.
#[derive(Clone)]
pub(super) struct Limited<C>(C);

impl<C> Service<Uri> for Limited<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // The client calls this in the task of the request, before it moves the connection to the background.
        let request_ended = REQUEST.try_with(Clone::clone).unwrap_or_default();
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.0.call(uri));
        let limited = async move {
            match request_ended.run_until_cancelled_owned(connecting).await {
                Some(Ok(connected)) => connected.map_err(Into::into),
                Some(Err(late)) => Err(io::Error::from(late).into()),
                None => Err(io::Error::from(io::ErrorKind::Interrupted).into()),
            }
        };
        limited.boxed()
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps up to `idle_max` unused connections to each host.
pub(super) fn connections(
    resolver: CheckedResolver,
    tls_config: ClientConfig,
    idle_max: usize,
) -> Connections {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.set_connect_timeout(Some(TCP_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_tcp_user_timeout(Some(UNREAD_TIMEOUT));
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
        .build(Limited(connector))
}

/// Trusts the system's certificates. Without any, requests fail and say so; the process has other work to do.
#[must_use]
pub fn system_tls() -> ClientConfig {
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
