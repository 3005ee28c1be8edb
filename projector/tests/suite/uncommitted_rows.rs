//! Rows that another session has inserted and not committed: only applying an event shows whether its order has one.

use std::time::Duration;

use anyhow::Result;
use projector::batch::BatchOutcome;
use projector::{Config, Projector};
use tokio_util::sync::CancellationToken;

use crate::locked_rows::{events, until_count};
use crate::metrics::metric;
use crate::parking::{REFUSE_666, refused_by_trigger};
use crate::support::{AT_ONCE, Scene, drain, event, order_id};

/// The trigger accepts everything again.
const ACCEPT_666: &str = "CREATE OR REPLACE FUNCTION refuse_666() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RETURN NEW; END $$";

fn insert_summaries(orders: std::ops::RangeInclusive<u128>) -> String {
    let rows: Vec<_> = orders
        .map(|order| format!("('{}', 'customer', 1, 'placed', now(), 1, 'sku', 1)", order_id(order)))
        .collect();
    let columns = "order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version";
    format!("INSERT INTO order_summary ({columns}) VALUES {}", rows.join(", "))
}

#[tokio::test]
async fn a_row_that_another_session_has_inserted_but_not_committed_delays_only_its_own_order() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    let mut holder = scene.database.connect().await?;
    for is_committed in [true, false] {
        let lock = holder.transaction().await?;
        lock.batch_execute(&insert_summaries(7..=7)).await?;
        scene.emit((1..=50).map(|order| event(order, 2))).await?;
        assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 49, parked: 0, waiting: 1 });
        assert_eq!(
            worker.apply_waiting_once().await?,
            BatchOutcome::Committed { applied: 0, parked: 0, waiting: 1 }
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

#[tokio::test]
async fn hundreds_of_uncommitted_rows_delay_only_their_own_orders() -> Result<()> {
    let scene = Scene::create().await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.batch_execute(&insert_summaries(1..=300)).await?;
    let stop = CancellationToken::new();
    let projector =
        Projector::start(&Config::from_vars(&scene.vars())?, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());

    // Each event of an uncommitted row is followed by one of another order; more of other orders come last.
    let mixed = (1..=300).flat_map(|order| [event(order, 2), event(order + 1_000, 2)]);
    scene.emit_all(&mixed.chain(events(2_001..=3_000, 2)).collect::<Vec<_>>()).await?;
    until_count(&scene, "outbox", 0, Duration::from_secs(8)).await?;
    until_count(&scene, "order_summary", 1_300, Duration::from_secs(4)).await?;
    assert_eq!(
        metric(address, "orders_projector_batches_failed_total").await?,
        0.0,
        "waiting is not a failure"
    );
    lock.commit().await?;
    until_count(&scene, "order_summary WHERE version = 2", 1_600, Duration::from_secs(10)).await?;
    until_count(&scene, "waiting_events", 0, Duration::from_secs(5)).await?;
    assert_eq!(scene.count("parked_events").await?, 0);
    stop.cancel();
    running.await??;
    Ok(())
}

#[tokio::test]
async fn an_event_whose_refusal_takes_milliseconds_is_parked_while_another_row_is_uncommitted() -> Result<()>
{
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    let slowly = REFUSE_666.replace("RAISE", "PERFORM pg_sleep(0.005); RAISE");
    scene.session.batch_execute(&slowly).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.batch_execute(&insert_summaries(7..=7)).await?;
    scene.emit([event(7, 2)]).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 0, parked: 0, waiting: 1 });
    scene.emit([refused_by_trigger(50), event(51, 1)]).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 1, parked: 1, waiting: 0 });
    lock.rollback().await?;
    Ok(())
}

#[tokio::test]
async fn after_a_parked_event_met_an_uncommitted_row_other_events_are_applied() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    let worker = scene.worker_with_retries(100, AT_ONCE)?;
    scene.emit([refused_by_trigger(7)]).await?;
    assert_eq!(drain(&worker).await?, (0, 1));
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.batch_execute(&insert_summaries(7..=7)).await?;
    scene.session.batch_execute(ACCEPT_666).await?;
    assert_eq!(worker.retry_once().await?, BatchOutcome::Committed { applied: 0, parked: 0, waiting: 1 });

    scene.emit([event(7, 2), event(8, 1), event(9, 1)]).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 2, parked: 0, waiting: 1 });
    lock.rollback().await?;
    Ok(())
}

#[tokio::test]
async fn while_a_parked_event_meets_an_uncommitted_row_again_and_again_other_events_are_applied() -> Result<()>
{
    let scene = Scene::create().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    let mut vars = scene.vars();
    vars.push(("PARKED_RETRY_FIRST_MS".to_owned(), "1".to_owned()));
    let stop = CancellationToken::new();
    let projector = Projector::start(&Config::from_vars(&vars)?, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());
    scene.emit([refused_by_trigger(7)]).await?;
    let parked = "parked_events WHERE next_attempt_at > now()";
    until_count(&scene, "parked_events", 1, Duration::from_secs(5)).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.batch_execute(&insert_summaries(7..=7)).await?;
    scene.session.batch_execute(ACCEPT_666).await?;
    // A parked event whose row is locked is tried again every half second.
    for waiting in [1, 0, 1] {
        until_count(&scene, parked, waiting, Duration::from_secs(5)).await?;
    }
    scene.emit([event(7, 2)]).await?;
    scene.emit_all(&events(101..=150, 1)).await?;
    until_count(&scene, "order_summary", 50, Duration::from_secs(5)).await?;
    until_count(&scene, "outbox", 0, Duration::from_secs(5)).await?;
    assert_eq!(metric(address, "orders_projector_batches_failed_total").await?, 0.0, "it is not an outage");
    lock.rollback().await?;
    until_count(&scene, "order_summary", 51, Duration::from_secs(5)).await?;
    stop.cancel();
    running.await??;
    Ok(())
}

#[tokio::test]
async fn an_event_that_was_tried_before_does_not_starve_while_others_without_a_row_arrive() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    let mut holders = [scene.database.connect().await?, scene.database.connect().await?];
    let [first, second] = &mut holders;
    let (first, second) = (first.transaction().await?, second.transaction().await?);
    first.batch_execute(&insert_summaries(1..=1)).await?;
    second.batch_execute(&insert_summaries(2..=2)).await?;
    scene.emit([event(1, 2), event(2, 2)]).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 0, parked: 0, waiting: 2 });
    let outcome = worker.apply_waiting_once().await?;
    assert_eq!(outcome, BatchOutcome::Committed { applied: 0, parked: 0, waiting: 2 });
    first.rollback().await?;
    let mut tries = 0;
    while scene.count("order_summary").await? == 0 {
        scene.emit([event(2, 2)]).await?;
        worker.run_once().await?;
        worker.apply_waiting_once().await?;
        tries += 1;
        assert!(tries < 12, "the event starves");
    }
    second.rollback().await?;
    Ok(())
}
