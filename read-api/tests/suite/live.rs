//! Streams: a snapshot, then every change, and none missed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

use crate::support::{Api, Replica, SOON, change, insert, numbers};

#[tokio::test]
async fn a_stream_starts_with_a_snapshot_and_continues_with_each_change() -> Result<()> {
    let api = Api::start().await?;
    let orders: Vec<_> = (1..=30).map(|number| (number, "alice", number)).collect();
    api.insert(&orders).await?;
    let session = api.database.connect().await?;
    let mut events = api.watch("alice", None).await?;
    assert_eq!(events.response.headers()["content-type"], "text/event-stream");
    assert_eq!(events.response.headers()["cache-control"], "no-store");
    let snapshot = events.next().await?.context("no snapshot")?;
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(numbers(&snapshot.data), (11..=30).rev().collect::<Vec<_>>());

    // An order too old for the snapshot, one of another customer, and a new one. The first may come in its old
    // version: see `next_order`.
    change(&session, 1, 1).await?;
    while events.next_order().await?.0 != (1, 2) {}
    insert(&session, &[(31, "bob", 31), (32, "alice", 32)]).await?;
    while events.next_order().await?.0 != (32, 1) {}
    change(&session, 32, 32).await?;
    assert_eq!(events.next_order().await?.0, (32, 2));
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_commits_late_is_sent_although_later_ones_were_sent_before() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1)]).await?;
    let mut slow = api.database.connect().await?;
    let slow = slow.transaction().await?;
    slow.batch_execute("SELECT pg_current_xact_id()").await?;
    slow.batch_execute(
        "UPDATE order_summary SET version = 7, changed_in = pg_current_xact_id()::text::bigint WHERE total_cents = 100",
    )
    .await?;

    let session = api.database.connect().await?;
    let mut events = api.watch("alice", None).await?;
    for version in 2..=9 {
        change(&session, 2, 2).await?;
        assert_eq!(events.next_order().await?.0, (2, version), "sent once, and in order");
    }
    slow.commit().await?;
    assert_eq!(events.next_order().await?.0, (1, 7));
    Ok(())
}

#[tokio::test]
async fn a_client_that_resumes_gets_the_changes_since_and_nothing_else() -> Result<()> {
    let api = Api::start().await?;
    let orders: Vec<_> = (1..=30).map(|number| (number, "alice", number)).collect();
    api.insert(&orders).await?;
    let session = api.database.connect().await?;
    let mut events = api.watch("alice", None).await?;
    let id = events.next().await?.context("no snapshot")?.id;
    drop(events);
    change(&session, 3, 5).await?;

    // On another replica, which does not know the client; by the header, and by the parameter.
    let replica = api.start_replica()?;
    let mut events = replica.watch("alice", Some(&id)).await?;
    let mut received = BTreeMap::new();
    let heartbeat = loop {
        let event = events.next().await?.context("the stream has ended")?;
        let Some((number, version)) = event.order() else {
            // While a transaction of another test is open, the id stays the same.
            if event.id == id {
                continue;
            }
            break event;
        };
        assert_eq!(event.id, id, "the id stays the same until all changes are sent");
        received.insert(number, version);
    };
    assert_eq!(heartbeat.name, "heartbeat");
    // Version 1 is sent again if a transaction of another test was open when the stream started.
    received.retain(|_, version| *version > 1);
    assert_eq!(received, BTreeMap::from([(3, 2), (4, 2), (5, 2)]));

    let path = format!("/customers/alice/orders/stream?last_event_id={}", heartbeat.id);
    let mut response = replica.get(&path).await?.error_for_status()?;
    let mut text = String::new();
    while !text.contains("heartbeat") {
        let chunk = timeout(SOON, response.chunk()).await??.context("the stream has ended")?;
        text.push_str(std::str::from_utf8(&chunk)?);
    }
    assert!(!text.contains("snapshot"), "{text}");
    Ok(())
}

#[tokio::test]
async fn if_the_missed_changes_cannot_be_listed_there_is_another_snapshot() -> Result<()> {
    let api = Api::start().await?;
    let orders: Vec<_> = (1..=1_001).map(|number| (number, "alice", number)).collect();
    api.insert(&orders).await?;
    let id = api.watch("alice", None).await?.next().await?.context("no snapshot")?.id;
    let (system, rest) = id.split_once('.').context("unknown format of the id")?;
    let (timeline, first_unseen) = rest.split_once('.').context("unknown format of the id")?;
    change(&api.database.connect().await?, 1, 1_001).await?;
    for (last, why) in [
        (id.clone(), "too many changes to send one by one"),
        (format!("1{system}.{timeline}.{first_unseen}"), "another database"),
        (format!("{system}.2{timeline}.{first_unseen}"), "another timeline"),
        ("41".to_owned(), "not an id of this version"),
        ("x".repeat(1_000), "not an id"),
    ] {
        let first = api.watch("alice", Some(&last)).await?.next().await?.context("no event")?;
        assert_eq!(first.name, "snapshot", "{why}");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_cut_off_again_and_again_misses_nothing() -> Result<()> {
    let api = Api::start().await?;
    let replicas = [api.start_replica()?, api.start_replica()?];
    let orders: Vec<_> = (1..=50).map(|number| (number, "alice", number)).collect();
    api.insert(&orders).await?;
    let mut known: BTreeMap<i64, i64> = (1..=50).map(|number| (number, 1)).collect();
    let writer = api.database.connect().await?;
    let writing = tokio::spawn(async move {
        for round in 0..300 {
            let first = (round * 7) % 48 + 1;
            change(&writer, first, first + 2).await?;
        }
        anyhow::Ok(())
    });

    let mut id = None;
    for attempt in 0.. {
        let is_last = writing.is_finished();
        let replica: &Replica = replicas.get(attempt % 2).context("two replicas")?;
        let mut events = replica.watch("alice", id.as_deref()).await?;
        // Cut the stream off after a few events. Once the writer has finished, read up to a heartbeat.
        let mut left = if is_last { usize::MAX } else { attempt % 13 + 1 };
        loop {
            let event = events.next().await?.context("the stream has ended")?;
            if let Some((number, version)) = event.order() {
                let known = known.entry(number).or_default();
                *known = version.max(*known);
            }
            id = Some(event.id);
            left -= 1;
            if left == 0 || event.name == "heartbeat" {
                break;
            }
        }
        if is_last {
            break;
        }
    }
    writing.await??;
    let stored = "SELECT (total_cents / 100)::bigint, version::bigint FROM order_summary";
    let stored = api.database.connect().await?.query(stored, &[]).await?;
    assert_eq!(known, stored.iter().map(|row| (row.get(0), row.get(1))).collect());
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_comes_without_changes() -> Result<()> {
    let api = Api::start().await?;
    let mut events = api.watch("nobody", None).await?;
    assert_eq!(events.next().await?.context("no snapshot")?.name, "snapshot");
    assert_eq!(events.next().await?.context("no heartbeat")?.name, "heartbeat");
    Ok(())
}

#[tokio::test]
async fn streams_end_when_the_process_stops() -> Result<()> {
    let api = Api::start().await?;
    let mut events = api.watch("alice", None).await?;
    events.next().await?;
    let _database = api.stop();
    assert_eq!(timeout(Duration::from_secs(2), events.next()).await??, None);
    Ok(())
}

#[tokio::test]
async fn a_stream_survives_a_short_outage_and_sends_the_changes_in_between() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let mut events = api.watch("alice", None).await?;
    events.next().await?;
    proxy.set(testkit::fault_proxy::Wire::RequestsLost);
    change(&api.database.connect().await?, 1, 1).await?;
    proxy.heal_for_new_connections();
    assert_eq!(events.next_order().await?.0, (1, 2));
    Ok(())
}

#[tokio::test]
async fn one_query_per_poll_serves_all_streams() -> Result<()> {
    let api = Api::start_with(&[("LIVE_POLL_MS", "100"), ("DATABASE_POOL_SIZE", "1")]).await?;
    let session = api.database.connect().await?;
    let mut all = Vec::new();
    for watcher in 0..200 {
        let mut events = api.watch(&format!("customer-{}", watcher % 100), None).await?;
        assert_eq!(events.next().await?.context("no snapshot")?.name, "snapshot");
        all.push(events);
    }
    let orders: Vec<_> = (0..100).map(|number| (number, format!("customer-{number}"))).collect();
    let orders: Vec<_> = orders.iter().map(|(number, customer)| (*number, customer.as_str(), 0)).collect();
    insert(&session, &orders).await?;
    for (watcher, events) in all.iter_mut().enumerate() {
        assert_eq!(events.next_order().await?.0, (i64::try_from(watcher % 100)?, 1));
    }
    let calls = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    let count = || async { anyhow::Ok(session.query_one(calls, &[]).await?.get::<_, i64>(0)) };
    // Heartbeats come every five seconds. PostgreSQL's counters lag, but include everything before the first
    // heartbeat by then.
    let first = all.first_mut().context("no stream")?;
    assert_eq!(first.next().await?.context("no heartbeat")?.name, "heartbeat");
    let (before, start) = (count().await?, std::time::Instant::now());
    assert_eq!(first.next().await?.context("no heartbeat")?.name, "heartbeat");
    let (statements, polls) = (count().await? - before, start.elapsed().as_millis() / 100);
    // A poll reads the position and the changes.
    assert!(statements <= i64::try_from(2 * polls)? + 60, "{statements} statements in {polls} polls");
    Ok(())
}

#[tokio::test]
async fn slow_polls_do_not_delay_the_heartbeat() -> Result<()> {
    let api = Api::start_with(&[("LIVE_POLL_MS", "2000")]).await?;
    let mut events = api.watch("alice", None).await?;
    events.next().await?.context("no snapshot")?;
    let heartbeat = timeout(Duration::from_secs(9), events.next()).await??;
    assert_eq!(heartbeat.context("the stream has ended")?.name, "heartbeat");
    Ok(())
}
