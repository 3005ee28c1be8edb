//! On a streaming standby, which knows no locks, no writes and no notifications.

use anyhow::{Context, Result};
use local::postgres::{PrivateServer, ServerOptions, Tuning};
use local::wait;
use reqwest::StatusCode;
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::support::{Replica, SOON, change, insert, numbers, order};

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
async fn a_standby_answers_waits_and_streams_until_it_is_promoted_and_afterwards() -> Result<()> {
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
    let (told, last) = events.next_order().await?;
    assert_eq!(told, (1, 2));

    // The primary is lost. What was told before is no measure on the new one, which may never have got it.
    drop(primary);
    let promoted = connect(&standby).await?;
    promoted.batch_execute("SELECT pg_promote()").await?;
    while events.next().await?.is_some() {}
    let snapshot = replica.watch("alice", Some(&last)).await?.next().await?.context("no snapshot")?;
    assert_eq!((snapshot.name.as_str(), numbers(&snapshot.data)), ("snapshot", vec![3, 2, 1]));
    let mut events = replica.watch("alice", Some(&snapshot.id)).await?;
    insert(&promoted, &[(4, "alice", 4)]).await?;
    assert_eq!(events.next_order().await?.0, (4, 1));
    wait::until("the list to show it", SOON, || async {
        match numbers_of_alice(&replica).await {
            Ok(shown) if shown == [4, 3, 2, 1] => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    Ok(())
}
