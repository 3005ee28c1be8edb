//! Behind `HAProxy`, with the lines of deploy/README.md.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::json;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::wait;

use crate::documents::{block, replaced};
use crate::proxy::{Proxy, find, free_ports};
use crate::support::System;

/// The addresses of a service and its probes, as `HAProxy` expects them.
fn server(service: &Service) -> Result<String> {
    let admin = service.admin_url().rsplit_once(':').context("no port")?.1;
    Ok(format!("{} check port {admin}", service.url().trim_start_matches("http://")))
}

/// The documented configuration with the addresses of these replicas, completed by frontends and timeouts.
fn config(system: &System, other_reader: &Service, [write, read]: [u16; 2]) -> Result<String> {
    let text = block("deploy/README.md", "defaults")?;
    let text = replaced(&text, "10.0.0.1:8081 check port 9081", &server(&system.write)?)?;
    let line = text.lines().find(|line| line.contains("server read1")).context("no read1")?.to_owned();
    let readers = [("read1", &system.read), ("read2", other_reader)].map(|(name, service)| {
        let line = replaced(&line, "10.0.0.1:8082 check port 9082", &server(service)?)?;
        replaced(&line, "read1", name)
    });
    let [one, other] = readers;
    let text = replaced(&text, &line, &format!("{}\n{}", one?, other?))?;
    let text = replaced(
        &text,
        "  mode http\n",
        "  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n",
    )?;
    let front = |name: &str, port| {
        format!("\nfrontend {name}_in\n  bind 127.0.0.1:{port}\n  default_backend {name}\n")
    };
    Ok(text + &front("write_api", write) + &front("read_api", read))
}

#[tokio::test]
async fn with_the_documented_lines_no_read_is_lost_when_a_replica_is_killed() -> Result<()> {
    let Some(program) = find("haproxy")? else { return Ok(()) };
    let system = System::start().await?;
    let kind = ServiceKind::ReadApi;
    let (logs, binary) = (tempfile::tempdir()?, ServiceBinaries::built().await?.program(kind));
    let mut other = Service::start(kind, &binary, &system.database.url(kind.role()), 0, logs.path())?;
    other.wait_until_ready().await?;
    let [write, read] = free_ports()?;
    let text = config(&system, &other, [write, read])?;
    let _haproxy = Proxy::start(&program, &["-db", "-f"], write, |_| text).await?;
    let client = reqwest::Client::new();
    let list = format!("http://127.0.0.1:{read}/customers/alice/orders");
    wait::until("both replicas to be used", Duration::from_secs(20), || async {
        let mut used = 0;
        for admin in [system.read.admin_url(), other.admin_url()] {
            let status = client.get(&list).send().await.map(|response| response.status());
            if !matches!(status, Ok(StatusCode::OK)) {
                return Err(format!("{status:?}"));
            }
            let metrics = client.get(format!("{admin}/metrics")).send().await;
            let text = metrics.map_err(|error| error.to_string())?.text().await.unwrap_or_default();
            used += usize::from(!text.contains("orders_http_connections_total{listener=\"api\"} 0"));
        }
        if used == 2 { Ok(()) } else { Err(format!("{used} are used")) }
    })
    .await?;
    let order = json!({"customer_id": "alice", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 450}]});
    let placed = client.post(format!("http://127.0.0.1:{write}/orders")).json(&order).send().await?;
    assert_eq!(placed.status(), StatusCode::CREATED);
    let mut victim = Some(other);
    for number in 0..300 {
        if number == 100 {
            victim.take().context("killed twice")?.kill();
        }
        let status = client.get(&list).send().await?.status();
        assert_eq!(status, StatusCode::OK, "read {number}");
    }
    Ok(())
}
