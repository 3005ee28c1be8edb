//! Receives the messages of webhooks.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Keeps each message. It refuses those for `/refused`, and shipped orders for `/mixed`. It ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    url: String,
    messages: Arc<Mutex<Vec<Message>>>,
    task: AbortHandle,
}

#[derive(Debug, Clone)]
struct Message {
    head: String,
    body: String,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// At a free port of 127.0.0.1.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let messages = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&messages);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(respond(stream, Arc::clone(&kept)));
            }
        });
        Ok(Self { url, messages, task: task.abort_handle() })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What has arrived for this path.
    #[must_use]
    pub fn bodies(&self, path: &str) -> Vec<String> {
        let sent =
            self.messages().into_iter().filter(|message| message.head.starts_with(&format!("POST {path} ")));
        sent.map(|message| message.body).collect()
    }

    /// How many messages have arrived for this path.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        self.messages().iter().filter(|message| message.head.starts_with(&format!("POST {path}?"))).count()
    }

    /// The signatures of all messages.
    #[must_use]
    pub fn signatures(&self) -> Vec<String> {
        let messages = self.messages();
        let lines = messages.iter().flat_map(|message| message.head.lines());
        lines.filter_map(|line| line.strip_prefix("webhook-signature: v1,")).map(str::to_owned).collect()
    }
}

/// Reads one message, and closes the connection.
async fn respond(mut stream: TcpStream, messages: Arc<Mutex<Vec<Message>>>) -> Result<()> {
    let mut bytes = Vec::new();
    let (message, is_refused) = loop {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "the connection ended");
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap_or("0").parse()?;
        if body.len() >= length {
            let is_shipped = head.starts_with("POST /mixed") && body.contains("order_shipped");
            let message = Message { head: head.to_owned(), body: body.to_owned() };
            break (message, is_shipped || head.starts_with("POST /refused"));
        }
    };
    let status = if is_refused { "500 Refused" } else { "200 OK" };
    messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Ok(stream.write_all(response.as_bytes()).await?)
}
