//! One fetch, over real sockets.

use std::time::Instant;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::super::client::Client;
use super::super::source::{DOCUMENT_MAX, FETCH_LIMIT, FetchError};
use super::*;
use crate::auth::tests::{KeyServer, Reply};

/// Valid for `localhost` until 2126. Made by:
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=localhost
/// -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE`
const CERTIFICATE: &[u8] = include_bytes!("localhost.crt");
/// Protects nothing.
const KEY: &[u8] = include_bytes!("localhost.key");

async fn fetch(reply: Reply) -> (Result<usize, FetchError>, KeyServer) {
    let server = KeyServer::start(reply).await;
    let start = Instant::now();
    let fetched = server.source().fetch().await;
    assert!(start.elapsed() < FETCH_LIMIT + Duration::from_millis(900), "{:?}", start.elapsed());
    (fetched.map(|document| document.len()), server)
}

fn raw(head: &str, body: usize) -> Reply {
    Reply::Raw([format!("HTTP/1.1 {head}\r\n\r\n").into_bytes(), vec![b' '; body]].concat())
}

#[tokio::test]
async fn a_document_of_any_framing_is_read_up_to_its_largest_size() {
    let (fetched, server) = fetch(Reply::Document("{}".to_owned())).await;
    assert_eq!(fetched.unwrap(), 2);
    let head = server.head().to_ascii_lowercase();
    let host = format!("host: 127.0.0.1:{}\r\n", server.url().port().unwrap());
    assert!(head.starts_with("get /jwks?v=1 http/1.1\r\n") && head.contains(&host), "{head}");
    assert_eq!(fetch(raw("200 OK", DOCUMENT_MAX)).await.0.unwrap(), DOCUMENT_MAX);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(fetch(Reply::Raw(chunked.into())).await.0.unwrap(), 2);
    let (chunk, count) = (format!("10000\r\n{}\r\n", " ".repeat(0x10000)), 5);
    let chunks =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(count));
    let too_large = [
        raw("200 OK", DOCUMENT_MAX + 1),
        raw(&format!("200 OK\r\ncontent-length: {}", DOCUMENT_MAX + 1), DOCUMENT_MAX + 1),
        Reply::Raw(chunks.into()),
    ];
    for reply in too_large {
        let (fetched, _server) = fetch(reply).await;
        assert!(matches!(fetched, Err(FetchError::TooLarge(DOCUMENT_MAX))), "{fetched:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_another_status_is_no_document() {
    let target = KeyServer::start(Reply::Document("{}".to_owned())).await;
    for status in [301, 302, 303, 307, 308] {
        let (fetched, _server) =
            fetch(raw(&format!("{status} Moved\r\nlocation: {}", target.url()), 0)).await;
        assert!(matches!(fetched, Err(FetchError::Status(found)) if found == status), "{fetched:?}");
    }
    assert_eq!(target.requests(), 0);
    for status in [204, 206, 404, 500, 503] {
        let (fetched, _server) = fetch(raw(&format!("{status} X\r\ncontent-length: 0"), 0)).await;
        assert!(matches!(fetched, Err(FetchError::Status(found)) if found == status), "{fetched:?}");
    }
}

#[tokio::test]
async fn a_slow_issuer_is_given_up_and_a_broken_exchange_is_an_error() {
    let slow = [
        Reply::Held(String::new()),
        Reply::Drip("HTTP/1.1 200 OK\r\nx: ".to_owned()),
        Reply::Drip("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_owned()),
    ];
    for (fetched, _server) in futures_util::future::join_all(slow.map(fetch)).await {
        assert!(matches!(fetched, Err(FetchError::Timeout)), "{fetched:?}");
    }
    for reply in
        [raw("200 OK\r\ncontent-length: 100", 50), Reply::Raw(Vec::new()), Reply::Raw(b"SSH-2.0\r\n".into())]
    {
        let (fetched, _server) = fetch(reply).await;
        assert!(matches!(fetched, Err(FetchError::Exchange(_))), "{fetched:?}");
    }
    // It keeps the port from others, and does not listen.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap()).parse().unwrap();
    let fetched = Source::url(url).fetch().await;
    assert!(matches!(fetched, Err(FetchError::Connect(_))), "{fetched:?}");
}

#[tokio::test]
async fn a_file_that_is_a_pipe_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Both ends, so that a reader ends with the test.
    let _pipe = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let fetched = Source::file(path).fetch().await;
    assert!(matches!(fetched, Err(FetchError::File(_))), "{fetched:?}");
}

#[tokio::test]
async fn https_needs_a_certificate_that_is_trusted() {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from_pem_slice(KEY).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let serve = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        }
    };
    let _serving = AbortOnDropHandle::new(tokio::spawn(serve));

    let url: url::Url = format!("https://localhost:{port}/").parse().unwrap();
    let fetched = Source::url(url.clone()).fetch().await;
    assert!(matches!(fetched, Err(FetchError::Connect(_))), "{fetched:?}");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let trusting = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let client = Client::with_tls(url, trusting);
    assert_eq!(client.fetch(DOCUMENT_MAX).await.unwrap(), b"{}");
}

#[tokio::test]
async fn the_name_for_logs_has_no_secret() {
    let url = "https://user:secret@issuer.test:8443/keys?token=secret".parse().unwrap();
    assert_eq!(Source::url(url).name(), "https://issuer.test:8443/keys");
}
