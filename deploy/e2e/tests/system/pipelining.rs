//! Pipelined requests in one packet at the real services.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::System;

const ORDER: &str = "0193a0c0-5f6e-7c1a-9d7e-2b6f3a1c4d5e";

fn order() -> String {
    // The end of the body resembles a request.
    let items = r#""items": [{"sku": "TEA", "quantity": 1, "price_cents": 450}]"#;
    format!(r#"{{"order_id": "{ORDER}", "customer_id": "alice", {items}}}"#)
        + "\r\n\r\nGET / HTTP/1.1\r\n\r\n"
}

/// Sends everything at once. Returns everything received until the server closed.
async fn send(url: &str, requests: &[String]) -> Result<String> {
    let mut client = TcpStream::connect(url.trim_start_matches("http://")).await?;
    client.write_all(requests.concat().as_bytes()).await?;
    let mut responses = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut responses)).await;
    read.context("it was not closed")??;
    Ok(String::from_utf8_lossy(&responses).into_owned())
}

fn get(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn chunked(path: &str, body: &str) -> String {
    let (length, head) = (body.len(), "content-type: application/json\r\ntransfer-encoding: chunked");
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
}

/// The heads and bodies in order.
fn split(responses: &str) -> Vec<(&str, &str)> {
    responses.split("HTTP/1.1 ").skip(1).filter_map(|response| response.split_once("\r\n\r\n")).collect()
}

#[tokio::test]
async fn pipelined_orders_and_reads_each_get_the_right_response() -> Result<()> {
    let system = System::start().await?;
    let placed = order();
    let (json, behind) = placed.split_once("\r\n\r\n").context("no end")?;
    assert!(behind.starts_with("GET"));
    let step = |name: &str| format!("/orders/{ORDER}/{name}");
    let requests = [
        post("/orders", json),
        get("GET", "/openapi.json"),
        chunked(&step("pay"), "{}"),
        post(&step("ship"), r#"{"carrier": "DHL"}"#),
        // Refused, including its body.
        post("/orders", &placed),
        get("HEAD", "/openapi.json"),
        // Nothing after a HEAD is executed.
        post(&step("deliver"), ""),
    ];
    let responses = send(system.write.url(), &requests).await?;
    let responses = split(&responses);
    let statuses: Vec<_> = responses.iter().map(|(head, _)| head.get(..3).unwrap_or_default()).collect();
    assert_eq!(statuses, ["201", "200", "200", "200", "400", "200"], "{responses:?}");
    for ((head, body), part) in
        responses.iter().zip(["\"placed\"", "\"openapi\"", "\"paid\"", "\"shipped\"", "/problems/", ""])
    {
        assert!(body.contains(part), "{part}: {head} {body}");
    }
    assert_eq!(responses.last().map(|(_, body)| *body), Some(""));
    let session = system.database.connect().await?;
    let status: String = session.query_one("SELECT status FROM orders", &[]).await?.get(0);
    assert_eq!(status, "shipped");

    let list = "/customers/alice/orders";
    let requests =
        [get("GET", list), get("GET", "/orders/x"), get("GET", "/openapi.json"), get("HEAD", list)];
    let responses = send(system.read.url(), &requests).await?;
    let responses = split(&responses);
    let statuses: Vec<_> = responses.iter().map(|(head, _)| head.get(..3).unwrap_or_default()).collect();
    assert_eq!(statuses, ["200", "400", "200", "200"], "{responses:?}");
    assert_eq!(responses.last().map(|(_, body)| *body), Some(""));
    Ok(())
}
