//! Clients that do not take what they are sent.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use testkit::wait;

use crate::support::{Api, change, insert};

/// A connection that asks for a stream and reads nothing of it.
fn connect(api: &Api) -> Result<std::net::TcpStream> {
    let address = api.url.strip_prefix("http://").context("not a URL of ours")?;
    let mut client = std::net::TcpStream::connect(address)?;
    // Little room, so that it is full soon.
    setsockopt(&client, sockopt::RcvBuf, &4_096)?;
    client.write_all(b"GET /customers/alice/orders/stream HTTP/1.1\r\nhost: orders\r\n\r\n")?;
    Ok(client)
}

/// Changes many orders of the customer until `done` says so.
async fn change_until(api: &Api, mut done: impl FnMut() -> bool) -> Result<()> {
    let session = api.database.connect().await?;
    insert(&session, &(1..=400).map(|number| (number, "alice", number)).collect::<Vec<_>>()).await?;
    wait::until("the client to be dropped", Duration::from_secs(30), || {
        let is_done = done();
        let session = &session;
        async move {
            change(session, 1, 400).await.map_err(|error| error.to_string())?;
            if is_done { Ok(()) } else { Err("it is still there".to_owned()) }
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped_and_its_connection_closed() -> Result<()> {
    let api = Api::start_with(&[("HTTP_STALL_LIMIT_MS", "500")]).await?;
    let mut client = connect(&api)?;
    // Writing does not touch what has been received; a connection that the server has reset fails.
    change_until(&api, || client.write_all(b"\r\n").is_err()).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_too_slow_is_told_so_by_the_end_of_its_stream_and_goes_on_where_it_was() -> Result<()>
{
    let api = Api::start_with(&[("HTTP_STALL_LIMIT_MS", "600000")]).await?;
    let mut slow = api.watch("alice", None).await?;
    let snapshot = slow.next().await?.context("no snapshot")?;
    // Somebody else, who reads, sees how far it has gone: more than a slow client is kept for.
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
            anyhow::bail!("all {events} events were kept for a client that read none");
        }
    }
    let mut again = api.watch("alice", Some(&last)).await?;
    let mut told = std::collections::BTreeMap::new();
    while told.len() < 200 {
        let (order, version) = again.next_order().await?.0;
        told.insert(order, version);
    }
    assert!(told.values().all(|version| *version == 250), "{told:?}");
    Ok(())
}
