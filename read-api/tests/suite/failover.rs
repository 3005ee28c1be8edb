//! Three and four real servers: an asynchronous failover that loses orders, and standbys behind one address.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::wait;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Client, NoTls};
use tokio_util::task::AbortOnDropHandle;

use crate::support::{Events, Replica, SOON, insert, numbers};

const FOLLOWING: Duration = Duration::from_secs(20);

pub(crate) async fn connect(server: &PrivateServer) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}

fn replica_at(server: &PrivateServer) -> Result<Replica> {
    Replica::start(&server.url("orders_read_api", "postgres"), &[])
}

/// Makes `standby` follow another server, or none.
async fn follow(standby: &Client, primary: Option<&PrivateServer>) -> Result<()> {
    let conninfo = primary.map(|primary| format!("host={} user=postgres", primary.socket_dir().display()));
    let set = format!("ALTER SYSTEM SET primary_conninfo = '{}'", conninfo.unwrap_or_default());
    standby.batch_execute(&set).await?;
    standby.batch_execute("SELECT pg_reload_conf()").await?;
    Ok(())
}

async fn wait_for_orders(standby: &Client, count: i64) -> Result<()> {
    wait::until("the orders to arrive", FOLLOWING, || async {
        let row = standby.query_one("SELECT count(*) FROM order_summary", &[]).await;
        let found: i64 = row.map_err(|error| error.to_string())?.get(0);
        if found == count { Ok(()) } else { Err(format!("{found} of {count}")) }
    })
    .await?;
    Ok(())
}

async fn wait_for_disconnect(standby: &Client) -> Result<()> {
    wait::until("the standby to be cut off", FOLLOWING, || async {
        let row = standby.query_one("SELECT count(*) FROM pg_stat_wal_receiver", &[]).await;
        let receivers: i64 = row.map_err(|error| error.to_string())?.get(0);
        if receivers == 0 { Ok(()) } else { Err(receivers.to_string()) }
    })
    .await?;
    Ok(())
}

async fn reported_timeline(server: &Client) -> Result<i32> {
    let query = "SELECT timeline_id FROM pg_control_checkpoint()";
    Ok(server.query_one(query, &[]).await?.get(0))
}

/// Promotes `server`, and waits until it accepts writes.
pub(crate) async fn promote(server: &Client) -> Result<()> {
    let promoted: bool = server.query_one("SELECT pg_promote(true, 30)", &[]).await?.get(0);
    ensure!(promoted, "it was not promoted");
    Ok(())
}

fn orders(numbers: std::ops::RangeInclusive<i32>) -> Vec<(i32, &'static str, i32)> {
    numbers.map(|number| (number, "alice", number)).collect()
}

#[tokio::test]
async fn a_client_that_saw_orders_lost_in_a_failover_gets_a_snapshot_from_a_standby() -> Result<()> {
    let a = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    migrate::up(&a.superuser_url("postgres")).await?;
    let (b, c) = (PrivateServer::start_standby_of(&a)?, PrivateServer::start_standby_of(&a)?);
    let (at_a, at_b, at_c) = (connect(&a).await?, connect(&b).await?, connect(&c).await?);
    insert(&at_a, &orders(1..=5)).await?;
    wait_for_orders(&at_b, 5).await?;
    wait_for_orders(&at_c, 5).await?;
    follow(&at_c, Some(&b)).await?;
    follow(&at_b, None).await?;
    wait_for_disconnect(&at_b).await?;

    let replica = replica_at(&a)?;
    let mut events = replica.watch("alice", None).await?;
    events.next().await?.context("no snapshot")?;
    insert(&at_a, &orders(6..=35)).await?;
    let lost = loop {
        let event = events.next().await?.context("the stream has ended")?;
        if event.order() == Some((35, 1)) {
            break events.next().await?.context("no heartbeat")?.id;
        }
    };
    drop(a);
    promote(&at_b).await?;

    // Nothing has been written since: the client has missed nothing, and no row shows yet that orders were lost.
    let replica = replica_at(&c)?;
    let mut early = replica.watch("alice", Some(&lost)).await?;
    assert_eq!(early.next().await?.context("no event")?.name, "heartbeat");
    insert(&at_b, &orders(101..=103)).await?;
    wait_for_orders(&at_c, 8).await?;
    let mut late = replica.watch("alice", Some(&lost)).await?;
    let snapshot = late.next().await?.context("no event")?;
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(numbers(&snapshot.data), [103, 102, 101, 5, 4, 3, 2, 1]);
    let mut shown = loop {
        let event = early.next().await?.context("the stream has ended")?;
        if event.name == "snapshot" {
            break numbers(&event.data);
        }
    };
    while shown.first() != Some(&103) {
        shown.insert(0, early.next_order().await?.0.0);
    }
    assert_eq!(shown, [103, 102, 101, 5, 4, 3, 2, 1]);
    Ok(())
}

/// One address whose connections alternate between these sockets.
pub(crate) async fn alternate(sockets: [PathBuf; 2]) -> Result<(u16, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let accepting = async move {
        for socket in sockets.iter().cycle() {
            let Ok((mut client, _)) = listener.accept().await else { return };
            let Ok(mut server) = UnixStream::connect(socket).await else { continue };
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    };
    Ok((port, AbortOnDropHandle::new(tokio::spawn(accepting))))
}

/// Reads until the order comes; fails if the stream is interrupted before.
async fn read_to(events: &mut Events, last: i64) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let event = timeout_at(deadline, events.next()).await??.context("the stream has ended")?;
        match event.order() {
            Some((number, _)) if number == last => return Ok(()),
            None if event.name == "snapshot" => bail!("another snapshot: {}", event.id),
            _ => {}
        }
    }
}

#[tokio::test]
async fn standbys_with_different_restartpoints_behind_one_address_interrupt_no_stream() -> Result<()> {
    let a = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    migrate::up(&a.superuser_url("postgres")).await?;
    let standbys = (|| {
        let start = || PrivateServer::start_standby_of(&a);
        anyhow::Ok((start()?, start()?, start()?))
    })();
    let (b, c, d) = standbys?;
    let (at_b, at_c, at_d) = (connect(&b).await?, connect(&c).await?, connect(&d).await?);
    drop(a);
    follow(&at_c, Some(&b)).await?;
    follow(&at_d, Some(&b)).await?;
    promote(&at_b).await?;
    insert(&at_b, &orders(1..=5)).await?;
    wait_for_orders(&at_c, 5).await?;
    wait_for_orders(&at_d, 5).await?;
    wait::until("one standby to report the new timeline", FOLLOWING, || async {
        // A restartpoint is made from the newest replayed checkpoint.
        at_b.batch_execute("CHECKPOINT").await.map_err(|error| error.to_string())?;
        at_c.batch_execute("CHECKPOINT").await.map_err(|error| error.to_string())?;
        let timeline = reported_timeline(&at_c).await.map_err(|error| error.to_string())?;
        if timeline == 2 { Ok(()) } else { Err(timeline.to_string()) }
    })
    .await?;
    assert_eq!(reported_timeline(&at_d).await?, 1, "the other standby does not report it yet");

    let (port, _forwarding) =
        alternate([&c, &d].map(|server| server.socket_dir().join(".s.PGSQL.5432"))).await?;
    let url = format!("postgres://orders_read_api@127.0.0.1:{port}/postgres");
    let replica = Replica::start(&url, &[])?;
    // Open all at once, so that there are connections to both standbys.
    let mut streams = Vec::new();
    let customers = ["alice"; 4].map(|customer| replica.watch(customer, None));
    for stream in futures_util::future::join_all(customers).await {
        let mut events = stream?;
        assert_eq!(events.next().await?.context("no snapshot")?.name, "snapshot");
        streams.push(events);
    }
    for number in 6..46 {
        insert(&at_b, &orders(number..=number)).await?;
        for events in &mut streams {
            read_to(events, number.into()).await.with_context(|| format!("order {number}"))?;
        }
    }
    Ok(())
}
