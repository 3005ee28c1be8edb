//! A proxy between the browser and read-api, which records the requests.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The heads of requests, as they were sent.
type Heads = Arc<Mutex<Vec<String>>>;

/// Forwards to a server until dropped.
pub(crate) struct Recorder {
    pub(crate) url: String,
    heads: Heads,
    accepting: JoinHandle<()>,
}

impl Recorder {
    /// Forwards to the server at `url`.
    pub(crate) async fn start(url: &str) -> Result<Self> {
        let server = url.strip_prefix("http://").context("not HTTP")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let heads = Heads::default();
        let recorded = Arc::clone(&heads);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), Arc::clone(&recorded)));
            }
        });
        Ok(Self { url, heads, accepting })
    }

    /// The heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The heads of the requests for orders, without those for the page's files.
    pub(crate) fn api(&self) -> Vec<String> {
        let is_api = |head: &String| head.starts_with("GET /orders") || head.starts_with("GET /customers");
        self.heads().into_iter().filter(is_api).filter(|head| !head.starts_with("GET /order.")).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(client: TcpStream, server: String, heads: Heads) -> std::io::Result<()> {
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = TcpStream::connect(server).await?.into_split();
    let mut requests = tokio::spawn(forward_requests(from_client, to_server, heads));
    tokio::select! {
        _ = tokio::io::copy(&mut from_server, &mut to_client) => requests.abort(),
        _ = &mut requests => {}
    }
    Ok(())
}

/// The page sends no bodies: all that it sends are heads. A head is recorded before it is forwarded.
async fn forward_requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    heads: Heads,
) -> std::io::Result<()> {
    let (mut buffer, mut text) = (vec![0; 16_384], String::new());
    loop {
        let length = client.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        text.push_str(&String::from_utf8_lossy(bytes));
        while let Some((head, rest)) = text.split_once("\r\n\r\n") {
            heads.lock().unwrap_or_else(PoisonError::into_inner).push(head.to_owned());
            text = rest.to_owned();
        }
        server.write_all(bytes).await?;
    }
}
