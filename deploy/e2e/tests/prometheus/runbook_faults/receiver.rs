//! A receiver of webhooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::LIMIT;

/// Responds with its status to each message. Connections to it are refused once it is dropped.
pub(super) struct Receiver {
    port: u16,
    status: Arc<AtomicU16>,
    messages: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// At this port of 127.0.0.1, or at any for 0.
    pub(super) async fn start(port: u16) -> Result<Self> {
        // Another one may have been dropped just now.
        let bind = async || TcpListener::bind(("127.0.0.1", port)).await;
        let listener = wait::until("the port", LIMIT, bind).await?;
        let port = listener.local_addr()?.port();
        let (status, messages) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicUsize::new(0)));
        let (current, counter) = (Arc::clone(&status), Arc::clone(&messages));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(respond(stream, Arc::clone(&current), Arc::clone(&counter)));
            }
        });
        Ok(Self { port, status, messages, task })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(super) fn respond_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Waits until it has got this many messages.
    pub(super) async fn has_got(&self, expected: usize) -> Result<()> {
        wait::until("messages", LIMIT, async || {
            let messages = self.messages.load(Ordering::Relaxed);
            if messages >= expected { Ok(()) } else { Err(messages) }
        })
        .await?;
        Ok(())
    }
}

/// Reads one message, and closes the connection.
async fn respond(mut stream: TcpStream, status: Arc<AtomicU16>, messages: Arc<AtomicUsize>) -> Result<()> {
    let mut bytes = Vec::new();
    loop {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "the connection ended");
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.unwrap_or("0").parse::<usize>()? {
            break;
        }
    }
    messages.fetch_add(1, Ordering::Relaxed);
    let status = status.load(Ordering::Relaxed);
    let response = format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Ok(stream.write_all(response.as_bytes()).await?)
}
