//! Requests whose end two programs could see in different places are refused: directly, and behind `HAProxy`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::documents::{block, replaced};
use crate::proxy::{Proxy, find, free_ports};
use crate::support::System;

/// The ambiguous part of each head, and the version. A request that places an order follows in the body.
const TABLE: [(&str, &str, &str); 15] = [
    ("length and chunks", "content-length: 4\r\ntransfer-encoding: chunked", "1.1"),
    ("chunks and length", "transfer-encoding: chunked\r\ncontent-length: 4", "1.1"),
    ("two lengths", "content-length: 5\r\ncontent-length: 6", "1.1"),
    ("two lengths in a list", "content-length: 5, 6", "1.1"),
    ("a length with a sign", "content-length: +5", "1.1"),
    ("a negative length", "content-length: -5", "1.1"),
    ("a length in hexadecimal", "content-length: 0x5", "1.1"),
    ("an encoding after the chunks", "transfer-encoding: chunked, identity", "1.1"),
    ("an unknown encoding", "transfer-encoding: xchunked", "1.1"),
    ("a folded line", "transfer-encoding:\r\n chunked", "1.1"),
    ("a folded line of another header", "x-other: a\r\n content-length: 5", "1.1"),
    ("a space before the colon", "content-length : 5", "1.1"),
    ("a tab before the colon", "transfer-encoding\t: chunked", "1.1"),
    ("two hosts", "host: other\r\ncontent-length: 5", "1.1"),
    ("chunks in HTTP/1.0", "transfer-encoding: chunked", "1.0"),
];

/// A header of the hidden request.
const HIDDEN: &str = "x-hidden";

/// The request, and behind it one that would place an order if it were read as a request.
fn request(part: &str, version: &str) -> String {
    let order = r#"{"customer_id": "mallory", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 450}]}"#;
    let length = order.len();
    let hidden = format!(
        "POST /orders HTTP/1.1\r\nhost: x\r\n{HIDDEN}: x\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{order}"
    );
    format!("POST /orders HTTP/{version}\r\nhost: x\r\n{part}\r\n\r\n0\r\n\r\n{hidden}")
}

/// Sends the exact bytes. Returns everything until the connection ends.
async fn send(address: &str, request: &str) -> Result<String> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    let reading = async {
        loop {
            match client.read_buf(&mut response).await {
                // A reset comes after the response.
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading).await.context("the connection stays open")?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// Sends the whole table. Each request is refused with a status that begins so; what is hidden in it is not executed.
async fn check(system: &System, address: &str, status: &str) -> Result<()> {
    for (name, part, version) in TABLE {
        let response = send(address, &request(part, version)).await.context(name)?;
        ensure!(response.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {response:?}");
        let responses = response.split("HTTP/1.1 ").skip(1);
        ensure!(responses.clone().all(|response| response.starts_with('4')), "{name}: {response:?}");
        ensure!(responses.count() == 1 || status == "4", "{name}: {response:?}");
        let orders = system.database.connect().await?.query_one("SELECT count(*) FROM orders", &[]).await?;
        ensure!(orders.get::<_, i64>(0) == 0, "{name}: the hidden request was executed");
    }
    Ok(())
}

#[tokio::test]
async fn an_ambiguous_request_is_refused_and_ends_the_connection() -> Result<()> {
    let system = System::start().await?;
    check(&system, system.write.url().trim_start_matches("http://"), "400 ").await
}

#[tokio::test]
async fn an_ambiguous_request_is_refused_behind_haproxy() -> Result<()> {
    let Some(program) = find("haproxy")? else { return Ok(()) };
    let system = System::start().await?;
    let [port] = free_ports()?;
    let text = block("deploy/README.md", "defaults")?;
    let (defaults, _) = text.split_once("\nbackend ").context("no backend")?;
    let defaults = replaced(
        defaults,
        "  mode http\n",
        "  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n",
    )?;
    let address = system.write.url().trim_start_matches("http://");
    let text = format!(
        "{defaults}\nfrontend in\n  bind 127.0.0.1:{port}\n  default_backend write_api\n\
         \x20 http-request deny if {{ req.hdr({HIDDEN}) -m found }}\n\
         backend write_api\n  server write1 {address}\n"
    );
    let _haproxy = Proxy::start(&program, &["-db", "-f"], port, |_| text).await?;
    // HAProxy unfolds lines, and of length and chunks it drops the length. So it may see the hidden request, and denies
    // it: it must be seen by both or by none.
    check(&system, &format!("127.0.0.1:{port}"), "4").await
}
