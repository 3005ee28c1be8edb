//! An open write transaction, in any database of the cluster: no change is sent repeatedly, and no stream is
//! interrupted.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::to_bytes;
use anyhow::{Context, Result, bail};
use read_api::adapter::postgres::PgOrderWatch;
use read_api::live::{EventData, Live, Report, Subscription};
use service_kit::database::DatabaseConfig;
use service_kit::metrics::Registry;
use service_kit::tasks::CriticalTasks;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::support::{Api, Events, SOON, change, insert_many};

/// A session in another database of the same server, with an open transaction that has an id. It ends with the session.
async fn open_transaction_elsewhere() -> Result<(TestDatabase, Client)> {
    let elsewhere = TestDatabase::create().await?;
    let session = elsewhere.connect().await?;
    session.batch_execute("BEGIN; SELECT pg_current_xact_id()").await?;
    Ok((elsewhere, session))
}

/// The changes up to and including `wanted`, and the number of snapshots among them.
async fn read_until(events: &mut Events, wanted: (i64, i64)) -> Result<(Vec<(i64, i64)>, usize)> {
    let (mut orders, mut snapshots) = (Vec::new(), 0);
    loop {
        let event = events.next().await?.context("the stream has ended")?;
        snapshots += usize::from(event.name == "snapshot");
        orders.extend(event.order());
        if orders.last() == Some(&wanted) {
            return Ok((orders, snapshots));
        }
    }
}

#[tokio::test]
async fn a_stream_continues_while_a_write_transaction_is_open_in_another_database() -> Result<()> {
    let api = Api::start().await?;
    let _pin = open_transaction_elsewhere().await?;
    let session = api.database.connect().await?;
    // More changes since the transaction started than a stream sends one by one.
    insert_many(&session, "alice", 1..1_201).await?;
    insert_many(&session, "bob", 2_001..2_003).await?;
    let mut events = api.watch("alice", None).await?;
    let snapshot = events.next().await?.context("no snapshot")?;
    for version in 2..5 {
        change(&session, 7, 7).await?;
        let (orders, snapshots) = read_until(&mut events, (7, version)).await?;
        assert_eq!((orders, snapshots), (vec![(7, version)], 0), "no change is sent again");
    }

    // A resume finds too many changes; it continues from a snapshot in the same way.
    let mut resumed = api.watch("alice", Some(&snapshot.id)).await?;
    assert_eq!(resumed.next().await?.context("no event")?.name, "snapshot");
    change(&session, 8, 8).await?;
    assert_eq!(read_until(&mut resumed, (8, 2)).await?, (vec![(8, 2)], 0));
    // A resume with few changes sends these.
    let mut bob = api.watch("bob", Some(&snapshot.id)).await?;
    let (first, second) = (bob.next().await?, bob.next().await?);
    let mut orders = [first, second].map(|event| event.and_then(|event| event.order()));
    orders.sort_unstable();
    assert_eq!(orders, [Some((2_001, 1)), Some((2_002, 1))]);
    let heartbeat = bob.next().await?.context("no heartbeat")?;
    assert_eq!(heartbeat.name, "heartbeat");
    while events.next().await?.context("the stream has ended")?.name != "heartbeat" {}
    Ok(())
}

#[tokio::test]
async fn too_many_changes_at_once_become_a_snapshot_in_the_stream() -> Result<()> {
    let api = Api::start().await?;
    let _pin = open_transaction_elsewhere().await?;
    let session = api.database.connect().await?;
    insert_many(&session, "alice", 1..1_202).await?;
    let mut events = api.watch("alice", None).await?;
    events.next().await?.context("no snapshot")?;
    change(&session, 1, 1_001).await?;
    let event = events.next().await?.context("the stream has ended")?;
    assert_eq!(event.name, "snapshot");
    change(&session, 5, 5).await?;
    assert_eq!(read_until(&mut events, (5, 3)).await?, (vec![(5, 3)], 0));
    Ok(())
}

async fn next(subscription: &mut Subscription) -> Result<EventData> {
    let delivery =
        tokio::time::timeout(SOON, subscription.updates.recv()).await?.context("the stream has ended")?;
    Ok(delivery.into_events().next().context("an empty delivery")?.data)
}

async fn text_of(metrics: &Registry) -> Result<String> {
    let body = to_bytes(metrics.response().into_body()).await;
    let body = body.map_err(|error| anyhow::anyhow!(error.to_string()))?;
    Ok(String::from_utf8(body.to_vec())?)
}

#[tokio::test]
async fn snapshots_in_place_of_changes_are_counted_by_reason() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    insert_many(&session, "alice", 1..1_202).await?;
    let vars = [("DATABASE_URL".to_owned(), database.url("orders_read_api"))].into();
    let watch = Arc::new(PgOrderWatch::new(DatabaseConfig::from_vars(&vars)?.open("test")?));
    let metrics = Registry::new(&[])?;
    let report = Report::register(&metrics);
    let live_poll = Duration::from_millis(10);
    let tasks = CriticalTasks::new(CancellationToken::new());
    let live = Live::start_with_report(watch, live_poll, 10, report, tasks.stop().clone(), &tasks);
    let mut subscription = live.subscribe("alice".to_owned(), None).await?;
    let first = subscription.initial.remove(0).into_events().next().context("no snapshot")?;
    change(&session, 1, 1_201).await?;
    let EventData::Snapshot(orders) = next(&mut subscription).await? else { bail!("no snapshot") };
    assert!(orders.len() == 20 && orders.iter().all(|order| order.version == 2), "{orders:?}");
    live.subscribe("alice".to_owned(), Some(first.resume_point)).await?;
    let other = "1.1.1".parse()?;
    live.subscribe("alice".to_owned(), Some(other)).await?;

    let text = text_of(&metrics).await?;
    for (reason, count) in
        [("too_many_changes", 1), ("resume_too_far", 1), ("resume_of_other_history", 1), ("no_room", 0)]
    {
        let expected = format!("orders_live_snapshots_total{{reason=\"{reason}\"}} {count}");
        assert!(text.lines().any(|line| line == expected), "{expected} is missing in:\n{text}");
    }
    Ok(())
}
