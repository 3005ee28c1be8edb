//! Connections over TLS: they are kept, and a receiver cannot make the projector hold more and more of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use http_body_util::Empty;
use hyper::Response;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use projector::webhooks::client::{Lookup, SystemLookup, WebhookClient};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::requests::{TIMEOUT, message};
use super::support::LIMIT;

/// Valid for `localhost` until 2126. Made by:
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=localhost
/// -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE`
const CERTIFICATE: &[u8] = include_bytes!("localhost.crt");
/// Protects nothing.
const KEY: &[u8] = include_bytes!("localhost.key");

/// Requests at once, and unused connections that are kept.
const PARALLEL: usize = 4;

/// Completes TLS on its first connections only, and holds the others open until the client closes them.
struct TlsReceiver {
    url: Url,
    counts: Arc<Counts>,
    task: AbortHandle,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    /// Not ready, and not closed: each is a descriptor of the client.
    unready: AtomicUsize,
}

impl TlsReceiver {
    async fn start(ready_max: usize) -> Result<Self> {
        let certificates = vec![CertificateDer::from_pem_slice(CERTIFICATE)?];
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(certificates, PrivateKeyDer::from_pem_slice(KEY)?)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}/", listener.local_addr()?.port()).parse()?;
        let counts = Arc::new(Counts::default());
        let accepting = accept(listener, TlsAcceptor::from(Arc::new(config)), ready_max, Arc::clone(&counts));
        Ok(Self { url, counts, task: tokio::spawn(accepting).abort_handle() })
    }

    fn unready(&self) -> usize {
        self.counts.unready.load(Ordering::SeqCst)
    }

    fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for TlsReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, ready_max: usize, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if counts.accepted.fetch_add(1, Ordering::SeqCst) < ready_max {
            connections.spawn(serve(stream, tls.clone()));
        } else {
            counts.unready.fetch_add(1, Ordering::SeqCst);
            connections.spawn(hold(stream, Arc::clone(&counts)));
        }
    }
}

/// Each response takes a while, so that other requests begin a connection of their own meanwhile.
async fn serve(stream: TcpStream, tls: TlsAcceptor) {
    let respond = service_fn(async |_| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Response::builder().status(204).body(Empty::<Bytes>::new())
    });
    if let Ok(stream) = tls.accept(stream).await {
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), respond).await);
    }
}

async fn hold(mut stream: TcpStream, counts: Arc<Counts>) {
    let mut ignored = [0; 4096];
    while stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
    counts.unready.fetch_sub(1, Ordering::SeqCst);
}

fn client(timeout: Duration) -> Result<WebhookClient> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE)?)?;
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let lookup: Arc<dyn Lookup> = Arc::new(SystemLookup);
    Ok(WebhookClient::with_lookup(timeout, PARALLEL, true, &lookup, &tls))
}

#[tokio::test]
async fn a_connection_over_tls_is_kept_and_used_again() -> Result<()> {
    let (receiver, client) = (TlsReceiver::start(usize::MAX).await?, client(TIMEOUT)?);
    for _ in 0..3 {
        assert_eq!(client.send(&receiver.url, message(&[])?).await.0?.status, 204);
    }
    assert_eq!(receiver.accepted(), 1);
    Ok(())
}

/// Begins a body that never ends.
async fn stall(listener: TcpListener, status: u16) -> Result<()> {
    let (mut stream, _) = listener.accept().await?;
    // To the client, a response without a request is an error.
    let _ = stream.read(&mut [0; 4096]).await?;
    let head = format!("HTTP/1.1 {status} status\r\ncontent-length: 10\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await?;
    std::future::pending().await
}

#[tokio::test]
async fn a_body_that_does_not_end_does_not_change_what_the_status_says() -> Result<()> {
    for status in [200, 410] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?).parse()?;
        let receiver = tokio::spawn(stall(listener, status));
        let sent = client(Duration::from_secs(3))?.send(&url, message(&[])?).await.0;
        receiver.abort();
        assert_eq!(sent?.status, status);
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_the_system_does_not_trust_is_refused() -> Result<()> {
    let (receiver, client) = (TlsReceiver::start(usize::MAX).await?, WebhookClient::new(TIMEOUT, 1, true));
    assert!(client.send(&receiver.url, message(&[])?).await.0.is_err());
    Ok(())
}

#[tokio::test]
async fn connections_that_never_become_ready_do_not_outlive_their_requests() -> Result<()> {
    // The timeouts are longer than the test: they are not what ends these connections.
    let (receiver, client) = (TlsReceiver::start(1).await?, client(LIMIT)?);
    assert_eq!(client.send(&receiver.url, message(&[])?).await.0?.status, 204);
    for _ in 0..25 {
        let requests = (0..PARALLEL)
            .map(|_| async { client.send(&receiver.url, message(&[])?).await.0.context("sent") });
        for sent in join_all(requests).await {
            assert_eq!(sent?.status, 204);
        }
    }
    assert!(receiver.accepted() > 25, "{} connections were begun", receiver.accepted());
    // Well before the limit on a connection, which alone would end them too.
    let closed = wait::until("unready connections to be closed", Duration::from_secs(3), async || {
        let unready = receiver.unready();
        if unready == 0 { Ok(()) } else { Err(unready) }
    });
    Ok(closed.await?)
}

#[tokio::test]
async fn a_connection_that_does_not_become_ready_fails_long_before_the_request_times_out() -> Result<()> {
    let (receiver, client) = (TlsReceiver::start(0).await?, client(LIMIT)?);
    let (sent, took) = client.send(&receiver.url, message(&[])?).await;
    assert!(sent.is_err() && took < LIMIT / 2, "{sent:?} after {took:?}");
    Ok(())
}
