//! Clients cannot cause errors in the log, nor fill it.

use std::fs;
use std::time::Instant;

use anyhow::Result;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Malformed requests.
const BROKEN: [&str; 5] = [
    "nonsense\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: many\r\n\r\n",
    "POST /orders HTTP/1.0\r\n\r\n",
    "POST /orders HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n",
];

async fn send(url: &str, request: &str) -> Result<()> {
    let mut client = TcpStream::connect(url.trim_start_matches("http://")).await?;
    client.write_all(request.as_bytes()).await?;
    client.shutdown().await?;
    // The server may close while this still sends.
    let _response = client.read_to_end(&mut Vec::new()).await;
    Ok(())
}

/// The lines above INFO.
fn warnings_and_errors(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).collect()
}

#[tokio::test]
async fn malformed_requests_and_refused_streams_log_at_info_or_below() -> Result<()> {
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    for kind in ServiceKind::ALL {
        let program = ServiceBinaries::built().await?.program(kind);
        let few = [("HTTP_MAX_CONNECTIONS", "256")];
        let mut service =
            Service::start_with(&few, kind, &program, &database.url(kind.role()), 0, logs.path())?;
        service.wait_until_ready().await?;
        let url = if kind == ServiceKind::Projector { service.admin_url() } else { service.url() };
        for request in BROKEN {
            send(url, request).await?;
            send(url, &format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(200_000))).await?;
        }
        let start = Instant::now();
        if kind == ServiceKind::ReadApi {
            let stream = format!("{url}/customers/alice/orders/stream");
            let client = reqwest::Client::new();
            let opened = (0..200).map(|_| client.get(&stream).send());
            let responses = futures_util::future::join_all(opened).await;
            let refused = responses.iter().flatten().filter(|response| response.status() == 503).count();
            assert!(refused >= 200 - 64, "{refused}");
        }
        let seconds = start.elapsed().as_secs();
        assert!(service.stop()?.success());
        let log = fs::read_to_string(logs.path().join(format!("{}.log", kind.name())))?;
        let lines = warnings_and_errors(&log).into_iter();
        let (at_start, others): (Vec<_>, Vec<_>) = lines.partition(|line| line.contains("AUTH=off"));
        assert_eq!((at_start.len(), others), (1, Vec::new()), "{}", kind.name());
        let overloaded = log.lines().filter(|line| line.contains("overloaded")).count();
        // One per second for each resource that can be overloaded.
        assert!(u64::try_from(overloaded)? <= 2 * (seconds + 2), "{overloaded} in {seconds} s:\n{log}");
        assert_eq!(overloaded > 0, kind == ServiceKind::ReadApi, "{log}");
    }
    Ok(())
}
