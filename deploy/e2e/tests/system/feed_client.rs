//! The client in docs/feed.md, killed and restarted while projectors are killed and restarted.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::documents::block;
use crate::support::System;

const SOON: Duration = Duration::from_secs(30);
const ROUNDS: usize = 3;
const ORDERS_EACH: usize = 10;
/// Events that are in the feed, but not for this client.
const ODD: [(&str, &str); 4] = [
    ("order_gift_wrapped", r#"{"order": 1}"#),
    ("order_placed", r#""text""#),
    ("order_placed", r#"{"order": []}"#),
    ("order_cancelled", r#"{"order": {"order_id": null}}"#),
];

/// Killed on drop.
struct Client(Child);

impl Client {
    /// Appends to `received`, and keeps its checkpoint beside it.
    fn start(program: &Path, feed: &str, received: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(received)?;
        let mut command = Command::new("python3");
        command.arg(program).env("FEED", feed).current_dir(received.parent().context("no folder")?);
        Ok(Self(command.stdin(Stdio::null()).stdout(output).spawn()?))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

async fn place(system: &System) -> Result<String> {
    let order = json!({"customer_id": "alice", "items": [{"sku": "A", "quantity": 1, "price_cents": 100}]});
    let request = reqwest::Client::new().post(format!("{}/orders", system.write.url())).json(&order);
    let placed: serde_json::Value = request.send().await?.error_for_status()?.json().await?;
    Ok(placed.get("order_id").and_then(serde_json::Value::as_str).context("no id")?.to_owned())
}

async fn write_odd_events(system: &System) -> Result<()> {
    let session = system.database.connect().await?;
    for (kind, payload) in ODD {
        let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
        session.execute(insert, &[&kind, &payload]).await?;
    }
    Ok(())
}

/// As a busy proxy: it answers the first requests with these statuses, and passes all others on to this port.
async fn start_proxy(statuses: &'static [u16], port: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        for status in statuses {
            let (mut client, _) = listener.accept().await?;
            refuse(&mut client, *status).await?;
        }
        loop {
            let (mut client, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut projector = TcpStream::connect(("127.0.0.1", port)).await?;
                copy_bidirectional(&mut client, &mut projector).await
            });
        }
        #[expect(unreachable_code, reason = "it says what may fail above")]
        std::io::Result::Ok(())
    });
    Ok(address)
}

async fn refuse(client: &mut TcpStream, status: u16) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    let response = format!("HTTP/1.1 {status} Later\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.write_all(response.as_bytes()).await?;
    client.shutdown().await
}

async fn start_projector(system: &System, port: u16) -> Result<Service> {
    let kind = ServiceKind::Projector;
    let program = ServiceBinaries::built().await?.program(kind);
    let mut projector =
        Service::start(kind, &program, &system.database.url(kind.role()), port, system.logs.path())?;
    projector.wait_until_ready().await?;
    Ok(projector)
}

/// Waits until the client has printed each of the orders at least once, and then saved its checkpoint.
async fn until_received(received: &Path, orders: &BTreeSet<String>) -> Result<()> {
    let expected: BTreeSet<_> = orders.iter().map(|id| format!("order_placed {id}")).collect();
    wait::until("the client to receive every order", SOON, || {
        let text = fs::read_to_string(received).unwrap_or_default();
        let lines: BTreeSet<_> = text.lines().map(str::to_owned).collect();
        let missing = expected.difference(&lines).count();
        let changed = |file: &Path| fs::metadata(file).and_then(|data| data.modified()).ok();
        let is_saved = changed(&received.with_file_name("checkpoint")) >= changed(received);
        let seen = format!("{missing} are missing, saved: {is_saved}");
        std::future::ready(if missing == 0 && is_saved { Ok(()) } else { Err(seen) })
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn the_documented_client_misses_nothing_whatever_is_killed_refused_or_odd() -> Result<()> {
    if !has_python()? {
        return Ok(());
    }
    let system = System::start().await?;
    let folder = tempfile::tempdir()?;
    let (program, received) = (folder.path().join("client.py"), folder.path().join("received"));
    let first = "import http.client, json, os, time, urllib.error, urllib.parse, urllib.request";
    fs::write(&program, block("docs/feed.md", first)?)?;
    let mut projector = start_projector(&system, 0).await?;
    let port = projector.url().rsplit(':').next().context("no port")?.parse()?;
    let feed = format!("http://{}/events", start_proxy(&[408, 429, 503], port).await?);
    write_odd_events(&system).await?;
    let mut orders = BTreeSet::new();
    for round in 0..ROUNDS {
        let client = Client::start(&program, &feed, &received)?;
        for _ in 0..ORDERS_EACH {
            orders.insert(place(&system).await?);
        }
        if round > 0 {
            until_received(&received, &orders).await?;
        }
        // In the first round anywhere in its work, later while it waits.
        drop(client);
        orders.insert(place(&system).await?);
        projector.kill();
        projector = start_projector(&system, port).await?;
    }
    let _client = Client::start(&program, &feed, &received)?;
    until_received(&received, &orders).await?;
    let lines = fs::read_to_string(&received)?.lines().count();
    let most = orders.len() + ROUNDS * (1 + ORDERS_EACH);
    assert!(
        lines <= most,
        "it did not continue from its checkpoint: {lines} events of {} orders",
        orders.len()
    );
    Ok(())
}

#[expect(clippy::print_stderr, reason = "cargo prints it beside the test's name")]
fn has_python() -> Result<bool> {
    let has_python = Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_ok();
    ensure!(has_python || std::env::var_os("REQUIRE_PYTHON").is_none(), "there is no python3");
    if !has_python {
        eprintln!("NOT TESTED, no python3: install Debian's package `python3`");
    }
    Ok(has_python)
}
