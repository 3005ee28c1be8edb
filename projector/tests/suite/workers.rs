//! Several workers at once (I6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::projection::{OrderSummary, Projection};
use shared_events::OrderEvent;
use tokio::sync::Barrier;

use crate::support::{Scene, drain, event};

/// Only counts its events.
struct Counter(Arc<AtomicUsize>);

impl Projection for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn apply<'a>(
        &'a self,
        _: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        self.0.fetch_add(events.len(), Ordering::Relaxed);
        std::future::ready(Ok(())).boxed()
    }
}

/// Stops each batch until another one has been claimed too.
struct Rendezvous(Arc<Barrier>);

impl Projection for Rendezvous {
    fn name(&self) -> &'static str {
        "rendezvous"
    }

    fn apply<'a>(
        &'a self,
        _: &'a mut AsyncPgConnection,
        _: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        async {
            self.0.wait().await;
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test]
async fn two_workers_at_once_claim_different_events_and_apply_each_once() -> Result<()> {
    let scene = Scene::create().await?;
    // The versions of each order are spread over both batches, in opposite order.
    let orders = 50;
    scene.emit((1..=orders).map(|order| event(order, 2))).await?;
    scene.emit((1..=orders).rev().map(|order| event(order, 1))).await?;
    let applied = Arc::new(AtomicUsize::new(0));
    let both_claimed = Arc::new(Barrier::new(2));
    let worker = || {
        let projections: Vec<Box<dyn Projection>> = vec![
            Box::new(Rendezvous(Arc::clone(&both_claimed))),
            Box::new(Counter(Arc::clone(&applied))),
            Box::new(OrderSummary),
        ];
        scene.worker_with(projections, 50)
    };
    let (one, two) = (worker()?, worker()?);
    let (one, two) = tokio::join!(one.run_once(), two.run_once());
    assert_eq!(one?, two?, "half of the events each");
    assert_eq!(applied.load(Ordering::Relaxed), 100);
    assert_eq!(scene.count("outbox").await?, 0);
    assert!(scene.summaries().await?.iter().all(|(_, version, _)| *version == 2));
    Ok(())
}

#[tokio::test]
async fn many_workers_on_the_same_orders_end_in_the_newest_versions() -> Result<()> {
    let scene = Scene::create().await?;
    for version in [3, 1, 4, 2, 4, 1] {
        scene.emit((1..=40).map(|order| event(order, version))).await?;
    }
    let worker = scene.worker(7)?;
    let drained = futures_util::future::try_join_all((0..6).map(|_| {
        let worker = Arc::clone(&worker);
        async move { drain(&worker).await }
    }))
    .await?;
    assert_eq!(drained.iter().map(|(applied, _)| applied).sum::<usize>(), 240);
    let summaries = scene.summaries().await?;
    assert_eq!(summaries.len(), 40);
    assert!(summaries.iter().all(|(_, version, status)| (*version, status.as_str()) == (4, "delivered")));
    Ok(())
}
