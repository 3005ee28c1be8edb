//! The sums are exact although batches fail, workers are killed, and several compete.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::AsyncPgConnection;
use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::batch::BatchError;
use projector::projection::Projection;
use projector::subscription::{Handled, Progress, ReadModelSteps};
use revenue::projection::RevenueByMonth;
use shared_events::OrderEvent;
use testkit::wait;
use tokio::sync::Notify;

use crate::orders::{Order, sums};
use crate::support::{SOON, Scene, log_all};

/// The read model, and something that happens after it has written.
struct After<F>(F);

impl<F> Projection for After<F>
where
    F: Fn() -> BoxFuture<'static, QueryResult<()>> + Send + Sync,
{
    fn name(&self) -> &'static str {
        RevenueByMonth.name()
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            RevenueByMonth.apply(connection, events).await?;
            (self.0)().await
        }
        .boxed()
    }
}

/// Orders, and their events with some republished ones, shuffled.
fn history(random: &mut Rng, orders: u128) -> (Vec<Order>, Vec<OrderEvent>) {
    let orders: Vec<_> = (1..=orders).map(|id| Order::random(random, id)).collect();
    let mut events: Vec<_> = orders.iter().flat_map(Order::events).collect();
    for order in orders.iter().filter(|_| random.bool()) {
        events.push(order.republished(order.versions()));
    }
    random.shuffle(&mut events);
    (orders, events)
}

async fn subscribed() -> Result<Scene> {
    let scene = Scene::create().await?;
    scene.subscribe(RevenueByMonth.name()).await?;
    Ok(scene)
}

#[tokio::test]
async fn the_sums_are_exact_although_batches_fail_after_they_have_written() -> Result<()> {
    let scene = subscribed().await?;
    let (orders, events) = history(&mut Rng::new(), 200);
    scene.emit(&events).await?;
    scene.log_all().await?;
    let calls = AtomicUsize::new(0);
    let fails_every_third_time = move || {
        let fails = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        std::future::ready(if fails { Err(DieselError::BrokenTransactionManager) } else { Ok(()) }).boxed()
    };
    let steps = scene.steps(After(fails_every_third_time))?;
    let mut failures = 0;
    loop {
        match steps.run_once(20).await {
            Ok(Progress::Handled(Handled { events: 0, .. })) => break,
            Ok(_) => {}
            Err(BatchError::Projection { .. }) => failures += 1,
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(failures >= 10, "too few batches failed: {failures}");
    assert_eq!(scene.sums("revenue_1").await?, sums(&orders));
    Ok(())
}

#[tokio::test]
async fn a_worker_that_is_killed_after_it_has_written_leaves_nothing_added() -> Result<()> {
    let scene = subscribed().await?;
    let order = Order::paid(1, "2026-11-23T23:59:59Z", 200);
    scene.emit(&order.events()).await?;
    scene.log_all().await?;
    let reached = Arc::new(Notify::new());
    let notify = Arc::clone(&reached);
    let hangs = move || {
        notify.notify_one();
        std::future::pending().boxed()
    };
    let hanging = scene.steps(After(hangs))?;
    let running = tokio::spawn(async move { hanging.run_once(10).await.map(drop) });
    reached.notified().await;
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));

    let steps = scene.steps(RevenueByMonth)?;
    wait::until("the subscription to be free", SOON, || async {
        match steps.run_once(10).await {
            Ok(Progress::Handled(Handled { events: 2, .. })) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(scene.sums("revenue_1").await?, sums([&order]));
    Ok(())
}

/// Runs batches. Ends only with an error.
async fn work(steps: ReadModelSteps) -> BatchError {
    loop {
        match steps.run_once(7).await {
            Ok(Progress::NotClaimed | Progress::Handled(Handled { events: 0, .. })) => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// Runs batches, and is killed after some milliseconds; again and again.
async fn killed_again_and_again(scene: &Scene, mut random: Rng, kills: &AtomicUsize) -> Result<()> {
    loop {
        let mut worker = tokio::spawn(work(scene.steps(RevenueByMonth)?));
        // Most die before they have committed anything; some live long enough on a busy machine too.
        let lives = Duration::from_millis(5 + random.u64(0..25).pow(2));
        if let Ok(ended) = tokio::time::timeout(lives, &mut worker).await {
            return Err(ended?.into());
        }
        worker.abort();
        kills.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn the_sums_are_exact_although_competing_workers_are_killed_at_random() -> Result<()> {
    let scene = subscribed().await?;
    let seed = fastrand::u64(..);
    let mut random = Rng::with_seed(seed);
    let (orders, events) = history(&mut random, 500);
    let kills = AtomicUsize::new(0);
    let claim = scene.claim()?;
    let write = async {
        for events in events.chunks(40) {
            scene.emit(events).await?;
            log_all(&claim).await?;
        }
        let behind = "SELECT (SELECT max(position) FROM event_log) - (SELECT checkpoint FROM subscription_checkpoints)";
        wait::until("all events to be handled", SOON, || async {
            match scene.number(behind).await {
                Ok(0) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        anyhow::Ok(())
    };
    tokio::select! {
        written = write => written?,
        ended = killed_again_and_again(&scene, random.fork(), &kills) => ended?,
        ended = killed_again_and_again(&scene, random.fork(), &kills) => ended?,
        ended = killed_again_and_again(&scene, random.fork(), &kills) => ended?,
    }
    let kills = kills.into_inner();
    ensure!(kills >= 5, "too few workers were killed: {kills}");
    assert_eq!(scene.sums("revenue_1").await?, sums(&orders), "seed {seed}");
    Ok(())
}
