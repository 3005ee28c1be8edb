//! Clients that read too slowly, or not at all.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use testkit::wait;

use crate::support::{Api, change, insert};

/// A connection that requests a stream and never reads.
fn connect(api: &Api) -> Result<std::net::TcpStream> {
    let address = api.url.strip_prefix("http://").context("not a URL of ours")?;
    let mut client = std::net::TcpStream::connect(address)?;
    // A small buffer, so that it is full soon.
    setsockopt(&client, sockopt::RcvBuf, &4_096)?;
    client.write_all(b"GET /customers/alice/orders/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    Ok(client)
}

/// Changes many orders of the customer until `done` returns true.
async fn change_until(api: &Api, mut done: impl FnMut() -> bool) -> Result<()> {
    let session = api.database.connect().await?;
    insert(&session, &(1..=400).map(|number| (number, "alice", number)).collect::<Vec<_>>()).await?;
    wait::until("the client to be dropped", Duration::from_secs(30), || {
        let is_done = done();
        let session = &session;
        async move {
            change(session, 1, 400).await.map_err(|error| error.to_string())?;
            if is_done { Ok(()) } else { Err("it is still connected".to_owned()) }
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn the_connection_of_a_client_that_reads_nothing_is_closed() -> Result<()> {
    let api = Api::start_with(&[("HTTP_STALL_LIMIT_MS", "500")]).await?;
    let mut client = connect(&api)?;
    // Writing does not read the received bytes; it fails once the server has reset the connection.
    change_until(&api, || client.write_all(b"\r\n").is_err()).await?;
    Ok(())
}

#[tokio::test]
async fn the_stream_of_a_slow_client_ends_and_resumes_without_loss() -> Result<()> {
    let api = Api::start_with(&[("HTTP_STALL_LIMIT_MS", "600000")]).await?;
    let mut slow = api.watch("alice", None).await?;
    let snapshot = slow.next().await?.context("no snapshot")?;
    // A second client, which reads, shows the progress: more changes than are queued for a slow client.
    let mut fast = api.watch("alice", None).await?;
    let session = api.database.connect().await?;
    insert(&session, &(1..=200).map(|number| (number, "alice", number)).collect::<Vec<_>>()).await?;
    for version in 2..=250 {
        change(&session, 1, 200).await?;
        while fast.next_order().await?.0 != (200, version) {}
    }
    let (mut last, mut events) = (snapshot.id, 0);
    while let Some(event) = slow.next().await? {
        (last, events) = (event.id, events + 1);
        if events > 200 * 249 {
            anyhow::bail!("all {events} events were queued for a client that read none");
        }
    }
    let mut again = api.watch("alice", Some(&last)).await?;
    let mut received = std::collections::BTreeMap::new();
    while received.len() < 200 {
        let (order, version) = again.next_order().await?.0;
        received.insert(order, version);
    }
    assert!(received.values().all(|version| *version == 250), "{received:?}");
    Ok(())
}
