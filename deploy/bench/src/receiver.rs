//! A receiver of webhooks that accepts everything and notes when, or never responds.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::arrivals::Arrivals;

const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

pub(crate) struct Receiver {
    address: SocketAddr,
}

impl Receiver {
    /// Notes the messages to `/n` as arrivals of listener n.
    pub(crate) async fn start(arrivals: &Arrivals) -> io::Result<Self> {
        let arrivals = arrivals.clone();
        Self::listen(move |socket| drop(tokio::spawn(serve(socket, arrivals.clone())))).await
    }

    /// Accepts connections, and says nothing.
    pub(crate) async fn silent() -> io::Result<Self> {
        let mut open = Vec::new();
        Self::listen(move |socket| open.push(socket)).await
    }

    async fn listen(mut accepted: impl FnMut(TcpStream) + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepted(socket);
            }
        });
        Ok(Self { address })
    }

    pub(crate) fn url(&self, listener: u16) -> String {
        format!("http://{}/{listener}", self.address)
    }
}

/// Until the client closes the connection.
async fn serve(socket: TcpStream, arrivals: Arrivals) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = BufReader::new(socket);
    loop {
        let (mut listener, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if listener.is_none() {
                // POST /n HTTP/1.1
                let path = line.split(' ').nth(1).unwrap_or_default();
                listener = Some(path.trim_start_matches('/').parse().map_err(io::Error::other)?);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        let body: Value = serde_json::from_slice(&body)?;
        if let (Some(listener), Some(event)) = (listener, body.get("data")) {
            // A message without an order is not an arrival.
            let _noted = arrivals.note(listener, event);
        }
        socket.write_all(RESPONSE).await?;
    }
}
