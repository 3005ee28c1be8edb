//! A proxy that records what a client sends.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The first message of a client that asks for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Forwards TCP connections at 127.0.0.1 to a port, until dropped.
#[derive(Debug)]
pub struct RecordingProxy {
    port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl RecordingProxy {
    /// Forwards everything.
    pub async fn start(server: u16) -> io::Result<Self> {
        Self::forwarding(server, false).await
    }

    /// Answers `N` to a client that asks for TLS, as an attacker does who wants to read what follows.
    pub async fn refusing_tls(server: u16) -> io::Result<Self> {
        Self::forwarding(server, true).await
    }

    async fn forwarding(server: u16, refuses_tls: bool) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&sent);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server, refuses_tls, Arc::clone(&record)));
            }
        });
        Ok(Self { port, sent, accepting })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All that clients have sent.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether clients have sent these bytes.
    #[must_use]
    pub fn has_seen(&self, text: &str) -> bool {
        self.sent().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(
    client: TcpStream,
    server: u16,
    refuses_tls: bool,
    record: Arc<Mutex<Vec<u8>>>,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let recorded = |bytes: &[u8]| {
        record.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    };
    let mut first = [0; SSL_REQUEST.len()];
    from_client.read_exact(&mut first).await?;
    recorded(&first);
    let (mut from_server, mut to_server) = TcpStream::connect(("127.0.0.1", server)).await?.into_split();
    if refuses_tls && first == SSL_REQUEST {
        to_client.write_all(b"N").await?;
    } else {
        to_server.write_all(&first).await?;
    }
    let requests = async {
        let mut buffer = [0; 4096];
        loop {
            let count = from_client.read(&mut buffer).await?;
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return to_server.shutdown().await;
            }
            recorded(bytes);
            to_server.write_all(bytes).await?;
        }
    };
    let responses = async { tokio::io::copy(&mut from_server, &mut to_client).await.map(drop) };
    tokio::try_join!(requests, responses).map(drop)
}
