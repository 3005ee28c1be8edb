//! Rows that another session has locked: their events wait, and all other events are applied.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::{BoxFuture, try_join_all};
use projector::batch::BatchOutcome;
use projector::projection::{OrderSummary, Projection};
use projector::{Config, Projector};
use service_kit::telemetry::chain;
use shared_events::OrderEvent;
use testkit::wait;
use tokio_util::sync::CancellationToken;

use crate::metrics::{metric, until_metric};
use crate::parking::{REFUSE_666, refused_by_trigger};
use crate::support::{AT_ONCE, Scene, drain, event, order_id};

pub(crate) async fn until_count(scene: &Scene, table: &str, expected: i64, limit: Duration) -> Result<()> {
    wait::until(table, limit, || async {
        let count = scene.count(table).await;
        if matches!(count, Ok(count) if count == expected) { Ok(()) } else { Err(count) }
    })
    .await?;
    Ok(())
}

pub(crate) fn events(orders: std::ops::RangeInclusive<u128>, version: i32) -> Vec<OrderEvent> {
    orders.map(|order| event(order, version)).collect()
}

/// Locks the orders from 1 to `locked`, emits events of these and of other orders, and checks that the latter are
/// applied.
async fn check_that_other_events_are_applied(locked: u32, workers: usize) -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(1_000)?;
    scene.emit_all(&events(1..=u128::from(2 * locked + 300), 1)).await?;
    drain(&worker).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    let last = order_id(locked.into());
    let select = format!("SELECT FROM order_summary WHERE order_id <= '{last}' FOR UPDATE");
    lock.execute(&select, &[]).await?;

    let mut vars = scene.vars();
    vars.push(("WORKERS".to_owned(), workers.to_string()));
    // A batch of a debug build on a busy machine must not count as failed.
    vars.push(("DATABASE_STATEMENT_TIMEOUT_MS".to_owned(), "20000".to_owned()));
    let stop = CancellationToken::new();
    let projector = Projector::start(&Config::from_vars(&vars)?, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());
    // The locked orders first: a claim takes the oldest events.
    scene.emit_all(&events(1..=u128::from(2 * locked + 300), 2)).await?;
    let others = i64::from(locked + 300);
    let start = Instant::now();
    until_count(&scene, "order_summary WHERE version = 2", others, Duration::from_secs(10)).await?;
    let others_took = start.elapsed();
    until_count(&scene, "outbox", 0, Duration::from_secs(5)).await?;
    let waiting = i64::from(locked);
    assert_eq!(scene.count("waiting_events").await?, waiting);
    until_metric(address, "orders_waiting_events", |found| found == f64::from(locked)).await?;
    until_metric(address, "orders_outbox_backlog_events", |found| found == f64::from(locked)).await?;
    until_metric(address, "orders_outbox_oldest_event_age_seconds", |age| age > 0.2).await?;

    let start = Instant::now();
    lock.rollback().await?;
    until_count(&scene, "waiting_events", 0, Duration::from_secs(10)).await?;
    let waited = start.elapsed();
    // One second, plus time for a busy machine and a debug build.
    let limit = Duration::from_secs(if locked > 1_000 { 6 } else { 2 });
    assert!(waited < limit, "{locked} locked: applied {waited:?} after the unlock");
    assert!(others_took < Duration::from_secs(8), "{locked} locked: other events took {others_took:?}");
    let all = i64::from(2 * locked + 300);
    assert_eq!(scene.count("order_summary WHERE version = 2").await?, all);
    assert_eq!(
        metric(address, "orders_projector_batches_failed_total").await?,
        0.0,
        "waiting is not a failure"
    );
    assert_eq!(scene.count("parked_events").await?, 0, "waiting is not a refusal");
    stop.cancel();
    running.await??;
    Ok(())
}

#[tokio::test]
async fn with_one_locked_row_all_other_events_are_applied() -> Result<()> {
    check_that_other_events_are_applied(1, 1).await
}

#[tokio::test]
async fn with_a_hundred_locked_rows_and_four_workers_all_other_events_are_applied() -> Result<()> {
    check_that_other_events_are_applied(100, 4).await
}

#[tokio::test]
async fn with_five_thousand_locked_rows_all_other_events_are_applied() -> Result<()> {
    check_that_other_events_are_applied(5_000, 2).await
}

#[tokio::test]
async fn a_row_that_is_free_again_is_found_among_thousands_that_stay_locked() -> Result<()> {
    const LOCKED: u128 = 5_000;
    let scene = Scene::create().await?;
    let worker = scene.worker(1_000)?;
    scene.emit_all(&events(1..=LOCKED + 1, 1)).await?;
    drain(&worker).await?;
    let (mut many, mut one) = (scene.database.connect().await?, scene.database.connect().await?);
    let (many, one) = (many.transaction().await?, one.transaction().await?);
    let last = order_id(LOCKED + 1);
    let lock = |which: &str| format!("SELECT FROM order_summary WHERE order_id {which} '{last}' FOR UPDATE");
    many.execute(&lock("<"), &[]).await?;
    one.execute(&lock("="), &[]).await?;
    scene.emit_all(&events(1..=LOCKED + 1, 2)).await?;
    let stop = CancellationToken::new();
    let config = Config::from_vars(&scene.vars())?;
    let projector = Projector::start(&config, projector::projections(), stop.clone())?;
    let running = tokio::spawn(projector.run());
    until_count(&scene, "waiting_events", i64::try_from(LOCKED)? + 1, Duration::from_secs(10)).await?;
    one.rollback().await?;
    // A second, plus time for a busy machine and a debug build.
    until_count(&scene, "order_summary WHERE version = 2", 1, Duration::from_secs(4)).await?;
    stop.cancel();
    running.await??;
    Ok(many.rollback().await?)
}

#[tokio::test]
async fn a_parked_event_whose_row_is_locked_uses_no_attempt_and_is_tried_again_soon() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker_with_retries(10, AT_ONCE)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    scene.session.batch_execute(REFUSE_666).await?;
    scene.emit([refused_by_trigger(1)]).await?;
    assert_eq!(drain(&worker).await?, (0, 1));
    scene.session.batch_execute("DROP TRIGGER refuse_666 ON order_summary").await?;

    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute("SELECT FROM order_summary FOR UPDATE", &[]).await?;
    assert_eq!(worker.retry_once().await?, BatchOutcome::Committed { applied: 0, parked: 0, waiting: 1 });
    let unharmed = "parked_events WHERE attempts = 1 AND error LIKE '%666%'
                    AND next_attempt_at < now() + interval '1 second'";
    assert_eq!(scene.count(unharmed).await?, 1);
    lock.rollback().await?;
    wait::until("the next attempt", Duration::from_secs(30), || async {
        let outcome = worker.retry_once().await;
        if matches!(outcome, Ok(BatchOutcome::Committed { applied: 1, .. })) {
            Ok(())
        } else {
            Err(format!("{outcome:?}"))
        }
    })
    .await?;
    assert_eq!(scene.count("parked_events").await?, 0);
    Ok(())
}

/// Events that are set aside because two workers block each other are applied soon.
#[tokio::test]
async fn workers_that_block_each_other_while_locked_rows_are_skipped_lose_no_time() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(1_000)?;
    scene.emit_all(&events(1..=20, 1)).await?;
    drain(&worker).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute(
        "SELECT FROM order_summary WHERE order_id = $1::text::uuid FOR UPDATE",
        &[&order_id(1).to_string()],
    )
    .await?;
    let mut vars = scene.vars();
    vars.push(("WORKERS".to_owned(), "4".to_owned()));
    vars.push(("BATCH_MAX".to_owned(), "20".to_owned()));
    let stop = CancellationToken::new();
    let projector = Projector::start(&Config::from_vars(&vars)?, projector::projections(), stop.clone())?;
    let running = tokio::spawn(projector.run());
    for _ in 0..20 {
        for version in 2..=4 {
            scene.emit_all(&events(1..=20, version)).await?;
        }
    }
    until_count(&scene, "outbox", 0, Duration::from_secs(10)).await?;
    until_count(&scene, "order_summary WHERE version = 4", 19, Duration::from_secs(2)).await?;
    until_count(&scene, "waiting_events", 60, Duration::from_secs(2)).await?;
    lock.rollback().await?;
    until_count(&scene, "waiting_events", 0, Duration::from_secs(5)).await?;
    stop.cancel();
    running.await??;
    ensure!(scene.count("order_summary WHERE version = 4").await? == 20);
    Ok(())
}

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

    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 2, parked: 0, waiting: 1 });
    let counts = (scene.count("outbox").await?, scene.count("waiting_events").await?);
    assert_eq!((counts, scene.count("parked_events").await?), ((0, 1), 0));
    assert_eq!(worker.apply_waiting_once().await?, BatchOutcome::Empty, "the row is still locked");
    lock.rollback().await?;
    assert_eq!(
        worker.apply_waiting_once().await?,
        BatchOutcome::Committed { applied: 1, parked: 0, waiting: 0 }
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
        assert_eq!(try_join_all(counts).await?, [40, 0, 0], "{mode}");
        lock.rollback().await?;
        assert_eq!(drain(&worker).await?, (40, 0));
    }
    Ok(())
}

/// `order_summary`, without the functions that a projection may leave out.
struct OnlyApply;

impl Projection for OnlyApply {
    fn name(&self) -> &'static str {
        "only_apply"
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        OrderSummary.apply(connection, events)
    }
}

#[tokio::test]
async fn without_lock_rows_a_locked_row_is_found_by_waiting_for_it() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker_with(vec![Box::new(OnlyApply)], 100)?;
    scene.emit_all(&events(1..=20, 1)).await?;
    drain(&worker).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    let select = format!("SELECT FROM order_summary WHERE order_id = '{}' FOR UPDATE", order_id(7));
    lock.execute(&select, &[]).await?;
    scene.emit_all(&events(1..=20, 2)).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 19, parked: 0, waiting: 1 });
    lock.rollback().await?;
    assert_eq!(drain(&worker).await?, (1, 0));
    assert!(scene.summaries().await?.iter().all(|(_, version, _)| *version == 2));
    Ok(())
}
