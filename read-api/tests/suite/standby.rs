//! read-api on a streaming standby, which has no row locks, writes or notifications.

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::Value;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::wait;
use tokio_postgres::{Client, NoTls};

use crate::support::{Replica, SOON, change, insert, insert_many, numbers, order};

async fn connect(server: &PrivateServer) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}

async fn numbers_of_alice(replica: &Replica) -> Result<Vec<i64>> {
    let list: Value = replica.get("/customers/alice/orders").await?.error_for_status()?.json().await?;
    Ok(numbers(&list))
}

#[tokio::test]
async fn a_standby_serves_lists_waits_and_streams_before_and_after_its_promotion() -> Result<()> {
    let primary = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    migrate::up(&primary.superuser_url("postgres")).await?;
    let writer = connect(&primary).await?;
    insert(&writer, &[(1, "alice", 1), (2, "alice", 2)]).await?;
    let standby = PrivateServer::start_standby_of(&primary)?;
    let replica = Replica::start(&standby.url("orders_read_api", "postgres"), &[])?;
    assert_eq!(numbers_of_alice(&replica).await?, [2, 1]);
    replica.until_ready_is(StatusCode::OK).await?;

    let mut events = replica.watch("alice", None).await?;
    assert_eq!(events.next().await?.context("no snapshot")?.name, "snapshot");
    let waiting = reqwest::Client::new().get(format!("{}{}?min_version=1", replica.url, order(3)));
    let waiting = tokio::spawn(waiting.header("prefer", "wait=10").send());
    insert(&writer, &[(3, "alice", 3)]).await?;
    let ((number, _), _) = events.next_order().await?;
    assert_eq!((number, waiting.await??.status()), (3, StatusCode::OK));
    change(&writer, 1, 1).await?;
    let (received, last) = events.next_order().await?;
    assert_eq!(received, (1, 2));

    // A transaction stays open on the primary, with more changes since than a stream sends one by one.
    let pin = connect(&primary).await?;
    pin.batch_execute("BEGIN; SELECT pg_current_xact_id(); SAVEPOINT a; CREATE TEMPORARY TABLE t ()").await?;
    insert_many(&writer, "bob", 1_001..2_301).await?;
    wait::until("the standby to show the order", SOON, || async {
        let newest = replica.get("/customers/bob/orders?limit=1").await.map_err(|error| error.to_string())?;
        let newest: Value = newest.json().await.map_err(|error| error.to_string())?;
        if numbers(&newest) == [2_300] { Ok(()) } else { Err(newest.to_string()) }
    })
    .await?;
    let mut bob = replica.watch("bob", None).await?;
    assert_eq!(bob.next().await?.context("no snapshot")?.name, "snapshot");
    for version in 2..5 {
        change(&writer, 1_001, 1_001).await?;
        let event = bob.next().await?.context("the stream has ended")?;
        assert_eq!(event.order(), Some((1_001, version)), "sent once, and nothing else");
    }
    pin.batch_execute("ROLLBACK").await?;

    // The primary is lost. The old resume points do not apply to rows that the new one writes.
    drop(primary);
    let promoted = connect(&standby).await?;
    promoted.batch_execute("SELECT pg_promote()").await?;
    insert(&promoted, &[(4, "alice", 4)]).await?;
    let snapshot = loop {
        let event = events.next().await?.context("the stream has ended")?;
        if event.name == "snapshot" {
            break event;
        }
    };
    assert_eq!(numbers(&snapshot.data), [4, 3, 2, 1]);
    let again = replica.watch("alice", Some(&last)).await?.next().await?.context("no snapshot")?;
    assert_eq!((again.name.as_str(), numbers(&again.data)), ("snapshot", vec![4, 3, 2, 1]));
    change(&promoted, 2, 2).await?;
    assert_eq!(events.next_order().await?.0, (2, 2));
    wait::until("the list to show the order", SOON, || async {
        match numbers_of_alice(&replica).await {
            Ok(shown) if shown == [4, 3, 2, 1] => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    Ok(())
}
