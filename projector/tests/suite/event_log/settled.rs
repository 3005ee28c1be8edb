//! The position below which no event will be logged: published only where it is true, and cheap to read.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use projector::event_log::settled;
use projector::outbox::low_water_mark::queries::{self, ServerRun};
use projector::{Config, Projector};
use testkit::wait;
use tokio_postgres::{Client, IsolationLevel};
use tokio_util::sync::CancellationToken;

use crate::support::{Scene, event};

async fn published(session: &Client) -> Result<Vec<i64>> {
    let rows = session.query("SELECT below FROM event_log_settled ORDER BY below", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// After a failover the ids that were lost are allocated again: events would be skipped.
#[tokio::test]
async fn a_position_of_another_server_run_is_not_published() -> Result<()> {
    let scene = Scene::create().await?;
    let mut session = scene.open()?.session().await?;
    let run = queries::allocated(&mut session, 0).await?.run;
    settled::publish(&mut session, 7, run).await?;
    for other in [ServerRun { started: run.started - 1, ..run }, ServerRun { stats_reset: -1, ..run }] {
        settled::publish(&mut session, 1_000, other).await?;
    }
    assert_eq!(published(&scene.session).await?, [7]);
    settled::publish(&mut session, 5, run).await?;
    assert_eq!(published(&scene.session).await?, [7], "it never goes back");
    Ok(())
}

#[tokio::test]
async fn what_two_processes_published_at_once_is_removed() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute("INSERT INTO event_log_settled VALUES (8), (9)").await?;
    let mut session = scene.open()?.session().await?;
    settled::remove_lower(&mut session).await?;
    assert_eq!(published(&scene.session).await?, [9]);
    Ok(())
}

#[tokio::test]
async fn under_an_old_snapshot_reading_it_costs_the_same_however_often_it_was_published() -> Result<()> {
    let scene = Scene::create().await?;
    let mut session = scene.open()?.session().await?;
    let run = queries::allocated(&mut session, 0).await?.run;
    let mut holder = scene.database.connect().await?;
    let pinned = holder.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    pinned.query("SELECT count(*) FROM event_log_settled", &[]).await?;
    for below in 1..=2_000 {
        settled::publish(&mut session, below, run).await?;
    }
    scene.session.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").await?;
    let explain = "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF)
                   SELECT below FROM event_log_settled ORDER BY below DESC LIMIT 1";
    let plan = scene.session.query(explain, &[]).await?;
    let plan: Vec<&str> = plan.iter().map(|row| row.get(0)).collect();
    let blocks = plan.iter().find_map(|line| line.split_once("shared hit=")).context("no blocks")?.1;
    let blocks: i64 = blocks.split(' ').next().unwrap_or_default().parse()?;
    assert!(blocks <= 6, "{plan:#?}");
    assert_eq!(published(&scene.session).await?, [2_000]);
    pinned.rollback().await?;
    Ok(())
}

/// `oldest_event_seconds()` relies on it: a scaler would otherwise read each event that was ever deleted under an old
/// snapshot.
#[tokio::test]
async fn a_running_projector_publishes_although_no_reader_waits() -> Result<()> {
    let scene = Scene::create().await?;
    let age = "SELECT oldest_event_seconds()";
    let events: Vec<_> = (1..=300).map(|order| event(order, 1)).collect();
    scene.emit_all(&events).await?;
    let first: f64 = scene.session.query_one(age, &[]).await?.get(0);
    assert!(first > 0.0, "nothing is projected");
    let stop = CancellationToken::new();
    let projector =
        Projector::start(&Config::from_vars(&scene.vars())?, projector::projections(), stop.clone())?;
    let running = tokio::spawn(projector.run());
    wait::until("the position behind all events", Duration::from_secs(30), async || {
        let published = published(&scene.session).await?;
        ensure!(published.last().is_some_and(|below| *below == 301), "{published:?}");
        anyhow::Ok(())
    })
    .await?;
    assert_eq!(scene.session.query_one(age, &[]).await?.get::<_, f64>(0).to_bits(), 0);
    stop.cancel();
    Ok(running.await??)
}
