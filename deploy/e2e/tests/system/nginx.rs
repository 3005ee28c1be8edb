//! Behind nginx, with the lines of deploy/README.md.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::documents::{block, replaced};
use crate::proxy::{Proxy, find, free_ports};
use crate::support::System;

/// The documented upstream and location, for a write-api and again for a read-api at these URLs.
fn documented(write: &str, read: &str) -> Result<[(String, String); 2]> {
    let text = block("deploy/README.md", "upstream write_api {")?;
    let (upstream, location) = text.split_once("\n\n").context("no location")?;
    let lines = |name: &str, url: &str| {
        let upstream = replaced(upstream, "10.0.0.1:8081", url.trim_start_matches("http://"))?;
        let name_in = |text: &str| replaced(text, "write_api", name);
        anyhow::Ok((name_in(&upstream)?, name_in(location)?))
    };
    // The names are what the services get as `Host`: without tokens they serve their machine only.
    Ok([lines("write.localhost", write)?, lines("read.localhost", read)?])
}

fn config(dir: &std::path::Path, backends: &[(String, String); 2], url: &str, ports: [u16; 3]) -> String {
    let [write, read, plain] = ports;
    let [(write_upstream, write_location), (read_upstream, read_location)] = backends;
    let dir = dir.display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| {
        let path = if kind == "client_body" {
            "client_body_temp_path".to_owned()
        } else {
            format!("{kind}_temp_path")
        };
        format!("{path} {dir}/{kind};")
    });
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{}\n\
         {write_upstream}\n{read_upstream}\n\
         server {{ listen 127.0.0.1:{write};\n{write_location} }}\n\
         server {{ listen 127.0.0.1:{read};\n{read_location} }}\n\
         server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass {url}; }} }}\n}}\n",
        paths.join("\n")
    )
}

/// Sends the exact bytes of a request and reads until `end`.
async fn raw(port: u16, request: &str, end: &str) -> Result<String> {
    let mut client = TcpStream::connect(("127.0.0.1", port)).await?;
    client.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&response).contains(end) && client.read_buf(&mut response).await? > 0 {
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), reading).await.context("no response")??;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

#[tokio::test]
async fn with_the_documented_lines_every_documented_request_works() -> Result<()> {
    let Some(program) = find("nginx")? else { return Ok(()) };
    let system = System::start().await?;
    let _projector = system.start_projector().await?;
    let [write, read, plain] = free_ports()?;
    let arguments = ["-e", "stderr", "-c"];
    let backends = documented(system.write.url(), system.read.url())?;
    let ports = [write, read, plain];
    let config = |dir: &std::path::Path| config(dir, &backends, system.write.url(), ports);
    let _nginx = Proxy::start(&program, &arguments, plain, config).await?;

    let order = json!({"customer_id": "alice", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 450}]});
    let client = reqwest::Client::new();
    let placed = client.post(format!("http://127.0.0.1:{write}/orders")).json(&order).send().await?;
    let placed: Value = placed.error_for_status()?.json().await?;
    let order_id = placed["order_id"].as_str().context("no order_id")?;
    // As `curl -X POST` sends it: without body and length.
    let pay = format!("POST /orders/{order_id}/pay HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let paid = raw(write, &pay, "\"version\":2").await?;
    assert!(paid.starts_with("HTTP/1.1 200") && paid.contains("\"status\":\"paid\""), "{paid}");
    let shown = client.get(format!("http://127.0.0.1:{read}/orders/{order_id}?min_version=2"));
    let shown = shown.header("prefer", "wait=10").send().await?.error_for_status()?;
    assert_eq!(shown.json::<Value>().await?["status"], "paid");
    let stream = "GET /customers/alice/orders/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let events = raw(read, stream, "event: snapshot").await?;
    assert!(events.contains("event: snapshot"), "the stream is not buffered: {events}");
    // Without these lines, nginx speaks HTTP/1.0, in which a POST must have a length.
    let refused = raw(plain, &pay, "400").await?;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let with_length = pay.replace("connection", "content-length: 0\r\nconnection");
    let replayed = raw(plain, &with_length, "\"version\":2").await?;
    assert!(replayed.starts_with("HTTP/1.1 200"), "a length helps too: {replayed}");
    Ok(())
}

#[tokio::test]
async fn with_the_documented_lines_a_client_cannot_choose_its_address() -> Result<()> {
    let Some(program) = find("nginx")? else { return Ok(()) };
    let backend = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", backend.local_addr()?);
    let ports = free_ports()?;
    let [write, _, plain] = ports;
    let backends = documented(&url, &url)?;
    let config = |dir: &std::path::Path| config(dir, &backends, &url, ports);
    let _nginx = Proxy::start(&program, &["-e", "stderr", "-c"], plain, config).await?;

    let forged = "x-forwarded-for: 192.0.2.1\r\nx-forwarded-for: 192.0.2.2\r\n";
    let request = format!("GET /orders HTTP/1.1\r\nhost: localhost\r\n{forged}connection: close\r\n\r\n");
    let client = tokio::spawn(async move { raw(write, &request, "204").await });
    let accepting = tokio::time::timeout(std::time::Duration::from_secs(30), backend.accept());
    let (mut connection, _) = accepting.await.context("nginx has sent nothing")??;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && connection.read_buf(&mut head).await? > 0 {}
    connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    client.await??;
    let head = String::from_utf8(head)?.to_lowercase();
    let addresses: Vec<_> = head.lines().filter(|line| line.starts_with("x-forwarded-for:")).collect();
    assert_eq!(addresses, ["x-forwarded-for: 127.0.0.1"], "{head}");
    Ok(())
}
