//! Few descriptors, and clients that use all connections.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio::net::TcpStream;

/// A service's program with this hard limit of open files.
async fn limited(kind: ServiceKind, files: u32, dir: &Path) -> Result<PathBuf> {
    let program = ServiceBinaries::built().await?.program(kind);
    let script = dir.join(format!("{}-{files}", kind.name()));
    // The process itself must raise the soft limit.
    let text =
        format!("#!/bin/sh\nulimit -n {files} && ulimit -Sn 128 && exec {} \"$@\"\n", program.display());
    // Another process writes it: a child that another test starts meanwhile would inherit our open file, and what is
    // open for writing cannot be executed.
    let write = "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\"";
    let written = Command::new("sh").args(["-c", write]).arg(&script).arg(text).status()?;
    ensure!(written.success(), "the script was not written");
    Ok(script)
}

fn line(logs: &Path, kind: ServiceKind, message: &str) -> Result<serde_json::Value> {
    let log = fs::read_to_string(logs.join(format!("{}.log", kind.name())))?;
    let found = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    found
        .into_iter()
        .find(|line| line["message"] == message)
        .with_context(|| format!("no {message:?} in {log}"))
}

#[tokio::test]
async fn probes_and_database_work_while_clients_hold_every_connection() -> Result<()> {
    let database = TestDatabase::create().await?;
    for (kind, own_connections) in
        [(ServiceKind::WriteApi, 8 + 1 + 1), (ServiceKind::ReadApi, 8 + 2 * 2 + 4 + 1)]
    {
        let logs = tempfile::tempdir()?;
        let program = limited(kind, 420, logs.path()).await?;
        let mut service = Service::start(kind, &program, &database.url(kind.role()), 0, logs.path())?;
        service.wait_until_ready().await?;
        let served = (420 - own_connections - 64) / 2 * 2;
        let logged = line(logs.path(), kind, "file descriptors divided among database, process and clients")?;
        assert_eq!(logged["http.max_connections"], served, "{logged}");

        let address = service.url().trim_start_matches("http://");
        let client = reqwest::Client::new();
        let document = format!("{}/openapi.json", service.url());
        assert_eq!(client.get(&document).send().await?.status(), StatusCode::OK);
        let mut idle = Vec::new();
        for _ in 0..served + 150 {
            idle.push(TcpStream::connect(address).await?);
        }
        let open = format!("orders_http_connections_open{{listener=\"api\"}} {served}");
        wait::until("every connection to be taken", Duration::from_secs(4), || async {
            let metrics = reqwest::get(format!("{}/metrics", service.admin_url())).await;
            let metrics = metrics.map_err(|error| error.to_string())?.text().await.unwrap_or_default();
            if metrics.contains(&open) { Ok(()) } else { Err(metrics) }
        })
        .await?;
        for path in ["/livez", "/readyz", "/metrics"] {
            let start = Instant::now();
            let status = reqwest::get(format!("{}{path}", service.admin_url())).await?.status();
            assert_eq!(status, StatusCode::OK, "{} {path}", kind.name());
            assert!(
                start.elapsed() < Duration::from_secs(1),
                "{} {path}: {:?}",
                kind.name(),
                start.elapsed()
            );
        }
        // A client that connected earlier still gets responses, also from the database.
        let order = format!("{}/orders/00000000-0000-0000-0000-000000000001", service.url());
        let request = match kind {
            ServiceKind::ReadApi => client.get(&order),
            _ => client.post(format!("{order}/pay")),
        };
        assert_eq!(request.send().await?.status(), StatusCode::NOT_FOUND, "{}", kind.name());
        let log = fs::read_to_string(logs.path().join(format!("{}.log", kind.name())))?;
        assert!(!log.contains("Too many open files"), "{log}");
        drop(idle);
        assert!(service.stop()?.success());
    }
    Ok(())
}

#[tokio::test]
async fn a_process_with_too_few_descriptors_does_not_start_and_says_how_many_it_needs() -> Result<()> {
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    for kind in ServiceKind::ALL {
        let program = limited(kind, 310, logs.path()).await?;
        let mut service = Service::start(kind, &program, &database.url(kind.role()), 0, logs.path())?;
        assert!(service.wait_until_ready().await.is_err() && !service.is_running());
        let log = fs::read_to_string(logs.path().join(format!("{}.log", kind.name())))?;
        assert!(log.contains("the hard limit (ulimit -Hn) is 310"), "{log}");
        assert!(log.contains("remain for clients, which need at least 256"), "{log}");
    }
    Ok(())
}

/// With the default settings, from what each process logs at its start.
#[tokio::test]
async fn the_documented_connections_to_postgresql_are_those_of_the_processes() -> Result<()> {
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    let mut connections = Vec::new();
    for kind in ServiceKind::ALL {
        let program = ServiceBinaries::built().await?.program(kind);
        let mut service = Service::start(kind, &program, &database.url(kind.role()), 0, logs.path())?;
        service.wait_until_ready().await?;
        let logged = line(logs.path(), kind, "file descriptors divided among database, process and clients")?;
        connections.push(logged["descriptors.database"].as_u64().context("no number of connections")?);
    }
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))?;
    let document = document.split_whitespace().collect::<Vec<_>>().join(" ");
    let (sum, checks) = (connections.iter().sum::<u64>(), 3);
    let two_of_each = 2 * (sum + checks);
    let [write, projector, read] = connections.as_slice() else { anyhow::bail!("not three services") };
    for sentence in [
        format!(
            "write-api opens 8 + 1 + 1 = {write} connections, read-api 8 + 2 × 2 + 4 + 1 = {read}, and the"
        ),
        format!(" = {projector}. One process of each needs {sum}, and {} when", sum + checks),
        format!("Two of each need {two_of_each}, which fits into PostgreSQL's default: 97 of"),
    ] {
        assert!(document.contains(&sentence), "deploy/README.md does not say {sentence:?}");
    }
    assert!(two_of_each <= 97, "{two_of_each}");
    Ok(())
}

#[tokio::test]
async fn streams_get_a_quarter_of_the_connections_that_are_served() -> Result<()> {
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    let kind = ServiceKind::ReadApi;
    let program = ServiceBinaries::built().await?.program(kind);
    let few = [("HTTP_MAX_CONNECTIONS", "256")];
    let mut service = Service::start_with(&few, kind, &program, &database.url(kind.role()), 0, logs.path())?;
    service.wait_until_ready().await?;
    let stream = format!("{}/customers/alice/orders/stream", service.url());
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(reqwest::get(&stream).await?.error_for_status()?);
    }
    assert_eq!(reqwest::get(&stream).await?.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(line(logs.path(), kind, "limits of streams and waits")?["streams.max"], 64);
    Ok(())
}
