//! The position below which no event will be logged: published only where it is true, and cheap to read.

use anyhow::{Context, Result};
use projector::event_log::settled;
use projector::outbox::low_water_mark::queries::{self, ServerRun};
use tokio_postgres::{Client, IsolationLevel};

use crate::support::Scene;

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
