//! A process that was suspended, as by a debugger or a live migration, responds to requests that arrived during the
//! suspension.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::System;

/// Longer than the 5 s for a head, for the first request, and for an idle admin connection.
const STANDSTILL: Duration = Duration::from_secs(6);

struct Client {
    what: String,
    stream: TcpStream,
    rest: String,
}

/// A whole response with a content length.
async fn read(stream: &mut TcpStream) -> Result<String> {
    let mut response = Vec::new();
    let reading = async {
        while !is_whole(&String::from_utf8_lossy(&response)) && stream.read_buf(&mut response).await? > 0 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.context("no response")??;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

fn is_whole(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// Connections that have sent nothing, a whole request, or part of one.
async fn connect(url: &str, path: &str) -> Result<Vec<Client>> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let half = request.split_at(request.len() - 5);
    let mut clients = Vec::new();
    for (what, before, rest) in [
        ("new", "", request.as_str()),
        ("kept", request.as_str(), request.as_str()),
        ("half a head", half.0, half.1),
    ] {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await?;
        stream.write_all(before.as_bytes()).await?;
        if what == "kept" {
            let response = read(&mut stream).await?;
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        }
        clients.push(Client { what: format!("{what} {url}{path}"), stream, rest: rest.to_owned() });
    }
    Ok(clients)
}

#[tokio::test]
async fn requests_during_a_suspension_get_responses_after_it() -> Result<()> {
    let system = System::start().await?;
    let mut clients = Vec::new();
    for service in [&system.write, &system.read] {
        clients.extend(connect(service.url(), "/openapi.json").await?);
        clients.extend(connect(service.admin_url(), "/livez").await?);
        // All are accepted.
        wait::until("the connections to be open", Duration::from_secs(30), || async {
            let metrics = reqwest::get(format!("{}/metrics", service.admin_url())).await;
            let text = metrics.map_err(|error| error.to_string())?.text().await.unwrap_or_default();
            let open = |listener: &str| {
                let name = format!("orders_http_connections_open{{listener=\"{listener}\"}} ");
                text.lines()
                    .find_map(|line| line.strip_prefix(&name)?.parse::<u32>().ok())
                    .unwrap_or_default()
            };
            if open("api") >= 3 && open("admin") >= 4 { Ok(()) } else { Err(text) }
        })
        .await?;
    }
    let pids = [&system.write, &system.read].map(|service| service.pid().try_into().map(Pid::from_raw));
    for pid in &pids {
        kill((*pid)?, Signal::SIGSTOP)?;
    }
    let sent = async {
        for client in &mut clients {
            client.stream.write_all(client.rest.as_bytes()).await?;
        }
        tokio::time::sleep(STANDSTILL).await;
        anyhow::Ok(())
    }
    .await;
    for pid in pids {
        kill(pid?, Signal::SIGCONT)?;
    }
    sent?;
    for Client { what, mut stream, .. } in clients {
        let response = read(&mut stream).await.with_context(|| what.clone())?;
        let head = response.get(..200).unwrap_or(&response);
        assert!(response.starts_with("HTTP/1.1 200"), "{what}: {head:?}");
    }
    Ok(())
}
