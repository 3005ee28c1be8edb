//! Events in `waiting_events`: when they are tried again, and what becomes of them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use projector::batch::BatchOutcome;
use projector::{Config, Projector};
use shared_events::OrderEvent;
use tokio_util::sync::CancellationToken;

use crate::locked_rows::until_count;
use crate::parking::{REFUSE_666, refused_by_trigger};
use crate::support::{Scene, drain, event, order_id};

#[tokio::test]
async fn events_that_another_process_set_aside_are_applied_too() -> Result<()> {
    let scene = Scene::create().await?;
    let encoded = event(1, 1).encode()?;
    let insert = "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at)
                  VALUES (1, $1::text::uuid, 1, $2, $3::text::json, now())";
    scene.session.execute(insert, &[&order_id(1).to_string(), &encoded.kind, &encoded.payload]).await?;
    let stop = CancellationToken::new();
    let config = Config::from_vars(&scene.vars())?;
    let projector = Projector::start(&config, projector::projections(), stop.clone())?;
    let running = tokio::spawn(projector.run());
    until_count(&scene, "order_summary", 1, Duration::from_secs(5)).await?;
    until_count(&scene, "waiting_events", 0, Duration::from_secs(5)).await?;
    stop.cancel();
    running.await??;
    Ok(())
}

#[tokio::test]
async fn a_waiting_event_that_became_stale_changes_nothing_and_a_refused_one_is_parked() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    scene.emit([event(1, 1), event(2, 1)]).await?;
    drain(&worker).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute("SELECT FROM order_summary FOR UPDATE", &[]).await?;
    scene.emit([event(1, 2), refused_by_trigger(2)]).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 0, parked: 0, waiting: 2 });
    lock.rollback().await?;

    scene.emit([event(1, 3)]).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 1, parked: 0, waiting: 0 });
    scene.session.batch_execute(REFUSE_666).await?;
    assert_eq!(
        worker.apply_waiting_once().await?,
        BatchOutcome::Committed { applied: 1, parked: 1, waiting: 0 }
    );
    let versions: Vec<_> = scene.summaries().await?.into_iter().map(|(_, version, _)| version).collect();
    assert_eq!((versions, scene.count("waiting_events").await?), (vec![3, 1], 0));
    assert_eq!(scene.count("parked_events WHERE attempts = 1").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_event_whose_id_was_used_before_waits_in_addition_to_the_other() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute("SELECT FROM order_summary FOR UPDATE", &[]).await?;
    for version in [2, 3, 4] {
        scene.session.batch_execute("SELECT setval('outbox_id_seq', 100, false)").await?;
        scene.emit([event(1, version)]).await?;
        // A new worker: the low-water mark of the old one may be above this id.
        scene.worker(10)?.run_once().await?;
    }
    assert_eq!(scene.count("waiting_events").await?, 3);
    lock.rollback().await?;
    assert_eq!(drain(&worker).await?, (3, 0));
    assert_eq!(scene.summaries().await?, [(order_id(1).to_string(), 4, "delivered".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn after_the_last_waiting_event_nothing_is_waiting() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(1)?;
    let encoded = event(1, 1).encode()?;
    let insert = "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at)
                  VALUES (1, $1::text::uuid, 1, $2, $3::text::json, now())";
    scene.session.execute(insert, &[&order_id(1).to_string(), &encoded.kind, &encoded.payload]).await?;
    assert_ne!(worker.apply_waiting_once().await?, BatchOutcome::Empty);
    assert_eq!(worker.apply_waiting_once().await?, BatchOutcome::Empty);
    assert!(!worker.is_anything_waiting().await?, "the loop would poll without end");
    Ok(())
}

#[tokio::test]
async fn an_event_without_a_row_does_not_starve_while_unlocked_ones_arrive() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    let encoded = [event(1, 1), event(2, 1)].iter().map(OrderEvent::encode).collect::<Result<Vec<_>, _>>()?;
    let insert = "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at)
                  VALUES ($1, $2::text::uuid, 1, $3, $4::text::json, now())";
    let set_aside = async |id: i64, order: u128, of: usize| {
        let order = order_id(order).to_string();
        scene.session.execute(insert, &[&id, &order, &encoded[of].kind, &encoded[of].payload]).await
    };
    // The first claim is a trial, so a later one must be a trial again.
    worker.apply_waiting_once().await?;
    set_aside(1, 2, 1).await?;
    let start = Instant::now();
    for id in 2.. {
        set_aside(id, 1, 0).await?;
        worker.apply_waiting_once().await?;
        if scene.count("order_summary").await? == 2 {
            break;
        }
        ensure!(start.elapsed() < Duration::from_secs(5), "the event starves");
    }
    Ok(())
}
