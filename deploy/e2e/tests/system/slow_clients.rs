//! Clients that leave requests unfinished, at all three processes with their real limits.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::services::ServiceKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::support::System;

const GET: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
const HALF: &str = "GET /livez HTTP/1.1\r\nho";
const CHUNKED: &str =
    "GET /livez HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
const LONG: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nhello";
/// The handler waits five seconds for the rest.
const ORDER: &str = "POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                     transfer-encoding: chunked\r\n\r\n5\r\n{    \r\n";

const LONG_ORDER: &str = "POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                          content-length: 1000\r\n\r\n{";

/// Sends the parts, then nothing or a byte per second, and keeps its side open. Returns everything received until the
/// server closed, and how long that took. An error means that the connection was reset.
async fn talk(url: String, parts: &[&str], drip: bool) -> Result<(String, Duration)> {
    let (mut reader, mut writer) = TcpStream::connect(url.trim_start_matches("http://")).await?.into_split();
    let start = Instant::now();
    for part in parts {
        writer.write_all(part.as_bytes()).await?;
        // The next part is a packet of its own.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let dripping: tokio::task::JoinHandle<Result<()>> = tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            if drip {
                writer.write_all(b"0").await?;
            }
        }
    });
    let _dripping = AbortOnDropHandle::new(dripping);
    let mut response = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(40), reader.read_to_end(&mut response)).await;
    read.context("it was not closed")??;
    Ok((String::from_utf8_lossy(&response).into_owned(), start.elapsed()))
}

#[tokio::test]
async fn unfinished_requests_are_closed_within_seconds_and_never_reset() -> Result<()> {
    let system = System::start().await?;
    let projector = system.start_projector().await?;
    let mut cases: Vec<(String, Vec<&str>, &str)> = Vec::new();
    for url in [system.write.url(), system.read.url(), system.read.admin_url(), projector.admin_url()] {
        for (parts, last_status) in [
            (vec![HALF], "408"),
            (vec![GET, HALF], "408"),
            (vec![CHUNKED], ""),
            (vec![GET, CHUNKED], ""),
            (vec![LONG], ""),
            (vec![GET, LONG], ""),
        ] {
            cases.push((url.to_owned(), parts, last_status));
        }
    }
    // The listener has few connections: an idle one must not delay the next probe.
    for url in [system.write.admin_url(), system.read.admin_url(), projector.admin_url()] {
        cases.push((url.to_owned(), vec![GET], ""));
    }
    for order in [ORDER, LONG_ORDER] {
        cases.push((system.write.url().to_owned(), vec![order], "408"));
    }
    let silent_and_dripping = cases.iter().flat_map(|case| [(case, false), (case, true)]);
    let talks = silent_and_dripping.map(|((url, parts, last_status), drip)| async move {
        let outcome = talk(url.clone(), parts, drip).await;
        let (response, took) = outcome.with_context(|| format!("{url} {parts:?} {drip}"))?;
        ensure!(took < Duration::from_secs(25), "{url} {parts:?} {drip}: {took:?}");
        let (_, last) =
            response.rsplit_once("HTTP/1.1 ").with_context(|| format!("{url} {parts:?}: no response"))?;
        ensure!(last.starts_with(last_status), "{url} {parts:?} {drip}: {response}");
        anyhow::Ok(())
    });
    for outcome in futures_util::future::join_all(talks).await {
        outcome?;
    }
    assert_eq!(ServiceKind::ALL.len(), 3, "all are covered");
    Ok(())
}
