//! A second read model from end to end: a migration, a file and a line of wiring.

mod projection;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};
use projector::batch::{BatchError, BatchOutcome};
use projector::projection::{OrderSummary, Projection};
use shared_events::{OrderChange, OrderEvent};

use self::projection::RevenueByMonth;
use crate::support::{Scene, drain, event};

const UP: &str = include_str!("up.sql");
const DOWN: &str = include_str!("down.sql");

async fn scene() -> Result<Scene> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(UP).await?;
    Ok(scene)
}

fn projections() -> Vec<Box<dyn Projection>> {
    vec![Box::new(OrderSummary), Box::new(RevenueByMonth)]
}

async fn revenue(scene: &Scene) -> Result<Vec<(String, i64)>> {
    let rows = "SELECT month::text, revenue_cents FROM revenue_by_month ORDER BY month";
    let rows = scene.session.query(rows, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn paid_in(order: u128, date: &str) -> Result<OrderEvent> {
    Ok(OrderEvent { occurred_at: format!("{date}T23:59:59Z").parse()?, ..event(order, 2) })
}

#[tokio::test]
async fn it_adds_up_payments_and_nothing_else() -> Result<()> {
    let scene = scene().await?;
    let paid = event(1, 2);
    let republished = OrderEvent::new(paid.order, paid.facts, OrderChange::Republished, paid.occurred_at);
    let events =
        [event(1, 1), paid_in(1, "2026-10-31")?, republished, paid_in(2, "2026-11-01")?, event(2, 3)];
    scene.emit(events).await?;
    scene.emit([paid_in(3, "2026-11-30")?]).await?;
    assert_eq!(drain(&*scene.worker_with(projections(), 2)?).await?, (6, 0));
    assert_eq!(revenue(&scene).await?, [("2026-10-01".to_owned(), 200), ("2026-11-01".to_owned(), 400)]);
    assert_eq!(scene.count("order_summary").await?, 3, "the other read model is unaffected");
    scene.session.batch_execute(DOWN).await?;
    Ok(())
}

/// Fails every third time, after the projections before it have written.
struct Unreliable(AtomicUsize);

impl Projection for Unreliable {
    fn name(&self) -> &'static str {
        "unreliable"
    }

    fn apply<'a>(
        &'a self,
        _: &'a mut AsyncPgConnection,
        _: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        let fails = self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        std::future::ready(if fails { Err(DieselError::BrokenTransactionManager) } else { Ok(()) }).boxed()
    }
}

#[tokio::test]
async fn the_sum_is_exact_although_batches_fail_and_are_repeated() -> Result<()> {
    let scene = scene().await?;
    let paid: Vec<_> = (1..=600).map(|order| paid_in(order, "2026-11-23")).collect::<Result<_>>()?;
    scene.emit_all(&paid).await?;
    let mut projections = projections();
    projections.push(Box::new(Unreliable(AtomicUsize::new(0))));
    let worker = scene.worker_with(projections, 20)?;
    let failures = AtomicUsize::new(0);
    let work = || async {
        loop {
            match worker.run_once().await {
                Ok(BatchOutcome::Empty) if scene.count("outbox").await? == 0 => return anyhow::Ok(()),
                Ok(_) => {}
                Err(BatchError::Projection { .. }) => drop(failures.fetch_add(1, Ordering::Relaxed)),
                Err(error) => return Err(error.into()),
            }
        }
    };
    try_join_all([work(), work(), work()]).await?;
    ensure!(failures.load(Ordering::Relaxed) >= 10, "too few batches failed");
    assert_eq!(revenue(&scene).await?, [("2026-11-01".to_owned(), 600 * 200)]);
    Ok(())
}

#[tokio::test]
async fn a_worker_that_is_killed_after_adding_leaves_nothing_added() -> Result<()> {
    let scene = scene().await?;
    scene.emit([paid_in(1, "2026-11-23")?]).await?;
    let reached = Arc::new(tokio::sync::Notify::new());
    let mut with_hang: Vec<Box<dyn Projection>> = projections();
    with_hang.push(Box::new(Hangs(Arc::clone(&reached))));
    let hanging = scene.worker_with(with_hang, 10)?;
    let running = tokio::spawn(async move { hanging.run_once().await });
    reached.notified().await;
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));

    let worker = scene.worker_with(projections(), 10)?;
    testkit::wait::until("the event to be unlocked", std::time::Duration::from_secs(5), || async {
        match worker.run_once().await {
            Ok(BatchOutcome::Committed { applied: 1, .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(revenue(&scene).await?, [("2026-11-01".to_owned(), 200)]);
    Ok(())
}

/// Signals that it was reached, and never returns.
struct Hangs(Arc<tokio::sync::Notify>);

impl Projection for Hangs {
    fn name(&self) -> &'static str {
        "hangs"
    }

    fn apply<'a>(
        &'a self,
        _: &'a mut AsyncPgConnection,
        _: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        self.0.notify_one();
        std::future::pending().boxed()
    }
}
