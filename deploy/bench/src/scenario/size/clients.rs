//! Client connections, which stay open until this is dropped.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) struct Clients {
    address: String,
    sockets: Vec<TcpStream>,
}

impl Clients {
    /// Connects this many to the service of the URL.
    pub(super) async fn connect(url: &str, count: u32) -> Result<Self> {
        let address = url.trim_start_matches("http://").to_owned();
        let sockets = try_join_all((0..count).map(|_| TcpStream::connect(&address))).await?;
        Ok(Self { address, sockets })
    }

    /// Each sends a request: its first line and a header, for its number, and this body.
    pub(super) async fn ask(&mut self, head: impl Fn(usize) -> String, body: &str) -> Result<()> {
        let address = &self.address;
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        try_join_all(self.sockets.iter_mut().enumerate().map(|(number, socket)| {
            let request = format!("{}\r\nhost: {address}\r\n{length}\r\n{body}", head(number));
            async move { socket.write_all(request.as_bytes()).await }
        }))
        .await?;
        Ok(())
    }

    /// Each sends a GET with this path.
    pub(super) async fn get(&mut self, path: &str) -> Result<()> {
        self.ask(|_| format!("GET {path} HTTP/1.1"), "").await
    }

    /// Each reads its response, of a stream the first event.
    pub(super) async fn read(&mut self) -> Result<()> {
        try_join_all(self.sockets.iter_mut().map(read)).await?;
        Ok(())
    }
}

async fn read(socket: &mut TcpStream) -> Result<()> {
    let mut response = Vec::new();
    let mut part = [0; 16 * 1024];
    while !is_whole(&String::from_utf8_lossy(&response)) {
        let length = socket.read(&mut part).await?;
        ensure!(length > 0, "the connection was closed");
        response.extend_from_slice(part.get(..length).context("more than was read")?);
    }
    Ok(())
}

fn is_whole(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    match head.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next()) {
        Some(length) => length.parse().is_ok_and(|length: usize| body.len() >= length),
        // A stream: an event ends with an empty line.
        None => body.contains("\n\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn a_response_is_whole_with_its_body_and_a_stream_with_its_first_event() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        assert!(!is_whole(head) && is_whole(&format!("{head}[]")));
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(!is_whole(&format!("{head}7\r\nevent: a\n")));
        assert!(is_whole(&format!("{head}7\r\nevent: a\ndata: 1\n\n\r\n")));
    }
}
