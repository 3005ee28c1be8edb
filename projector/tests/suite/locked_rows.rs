//! Rows that somebody has locked: their events wait, and all others go on.

use anyhow::Result;
use projector::drain::BatchOutcome;
use runtime::telemetry::chain;

use crate::support::{Scene, drain, event, order_id};

#[tokio::test]
async fn only_the_event_of_a_locked_row_waits_and_it_is_applied_after_the_lock() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    scene.emit([event(2, 1), event(1, 2), event(3, 1)]).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute("SELECT FROM order_summary FOR UPDATE", &[]).await?;

    assert_eq!(worker.run_once().await?, BatchOutcome::Drained { applied: 2, parked: 0, waiting: 1 });
    let counts = (scene.count("outbox").await?, scene.count("waiting_events").await?);
    assert_eq!((counts, scene.count("parked_events").await?), ((0, 1), 0));
    assert_eq!(worker.apply_waiting_once().await?, BatchOutcome::Empty, "nothing can be applied yet");
    lock.rollback().await?;
    assert_eq!(
        worker.apply_waiting_once().await?,
        BatchOutcome::Drained { applied: 1, parked: 0, waiting: 0 }
    );
    let versions: Vec<_> = scene.summaries().await?.into_iter().map(|(_, version, _)| version).collect();
    assert_eq!((versions, scene.count("waiting_events").await?), (vec![2, 1, 1], 0));
    Ok(())
}

#[tokio::test]
async fn a_locked_table_is_an_outage_in_which_nothing_waits_or_is_parked() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    for mode in ["SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"] {
        scene.emit((1..=40).map(|order| event(order, 1))).await?;
        let mut holder = scene.database.connect().await?;
        let lock = holder.transaction().await?;
        lock.batch_execute(&format!("LOCK TABLE order_summary IN {mode} MODE")).await?;
        for _ in 0..2 {
            let error = worker.run_once().await.unwrap_err();
            assert!(chain(&error).contains("lock timeout"), "{mode}: {error:?}");
        }
        let counts = ["outbox", "waiting_events", "parked_events"].map(|table| scene.count(table));
        assert_eq!(futures_util::future::try_join_all(counts).await?, [40, 0, 0], "{mode}");
        lock.rollback().await?;
        assert_eq!(drain(&worker).await?, (40, 0));
    }
    Ok(())
}

#[tokio::test]
async fn a_row_that_another_session_has_inserted_but_not_committed_delays_only_its_own_order() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    let mut holder = scene.database.connect().await?;
    let insert = format!(
        "INSERT INTO order_summary (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version)
         VALUES ('{}', 'customer', 1, 'placed', now(), 1, 'sku', 1)",
        order_id(7)
    );
    for is_committed in [true, false] {
        let lock = holder.transaction().await?;
        lock.batch_execute(&insert).await?;
        scene.emit((1..=50).map(|order| event(order, 2))).await?;
        assert_eq!(worker.run_once().await?, BatchOutcome::Drained { applied: 49, parked: 0, waiting: 1 });
        assert_eq!(
            worker.apply_waiting_once().await?,
            BatchOutcome::Drained { applied: 0, parked: 0, waiting: 1 }
        );
        if is_committed {
            lock.commit().await?;
        } else {
            lock.rollback().await?;
        }
        assert_eq!(drain(&worker).await?, (1, 0));
        assert!(scene.summaries().await?.iter().all(|(_, version, _)| *version == 2));
        scene.session.batch_execute("TRUNCATE order_summary").await?;
    }
    Ok(())
}
