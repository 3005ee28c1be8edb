//! A receiver that accepts everything and notes when.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// When each order arrived first, in seconds since 1970.
type Arrivals = Arc<Mutex<BTreeMap<String, f64>>>;

pub(super) struct Receiver {
    address: SocketAddr,
    arrivals: Arrivals,
}

impl Receiver {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, arrivals) = (listener.local_addr()?, Arrivals::default());
        let of_connections = Arc::clone(&arrivals);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&of_connections)));
            }
        });
        Ok(Self { address, arrivals })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.arrivals).len()
    }

    pub(super) fn received_at(&self, order_id: &str) -> Option<f64> {
        lock(&self.arrivals).get(order_id).copied()
    }

    pub(super) fn forget(&self) {
        lock(&self.arrivals).clear();
    }
}

fn lock(arrivals: &Arrivals) -> MutexGuard<'_, BTreeMap<String, f64>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the client closes the connection.
async fn serve(socket: TcpStream, arrivals: Arrivals) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = BufReader::new(socket);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let body: Value = serde_json::from_slice(&body)?;
        if let Some(order_id) = body.pointer("/data/order/order_id").and_then(Value::as_str) {
            lock(&arrivals).entry(order_id.to_owned()).or_insert(now);
        }
        socket.write_all(RESPONSE).await?;
    }
}
