//! Events that only PostgreSQL refuses, and rows that another session has locked: the others go on, and nothing is
//! lost.

use std::time::Duration;

use anyhow::{Result, bail};
use projector::RetryPolicy;
use projector::batch::BatchOutcome;
use projector::projection::Projection;
use projector::subscription::{Handled, Progress, ReadModelSteps};
use revenue::projection::RevenueByMonth;
use testkit::wait;

use crate::orders::{Order, sums};
use crate::support::{SOON, Scene};

const AT: &str = "2026-11-23T10:00:00Z";

/// A parked event is due at once.
const AT_ONCE: RetryPolicy =
    RetryPolicy { attempts: 50, retry_first: Duration::ZERO, retry_max: Duration::ZERO };

/// Orders of one month, each of a SKU of its own, and all of their events in the log.
async fn logged(count: u128) -> Result<(Scene, Vec<Order>)> {
    let scene = Scene::create().await?;
    scene.subscribe(RevenueByMonth.name()).await?;
    let orders = (1..=count).map(|id| {
        let mut order = Order::paid(id, AT, 100);
        order.items[0].sku = format!("SKU-{id}");
        order
    });
    let orders: Vec<_> = orders.collect();
    scene.emit(&orders.iter().flat_map(Order::events).collect::<Vec<_>>()).await?;
    scene.log_all().await?;
    Ok((scene, orders))
}

/// Handles the log to its end. Returns how many events were parked.
async fn to_end(steps: &ReadModelSteps) -> Result<usize> {
    let mut total = 0;
    loop {
        match steps.run_once(1_000).await? {
            Progress::Handled(Handled { events: 0, hole: None, .. }) => return Ok(total),
            Progress::Handled(Handled { parked, .. }) => total += parked,
            other => bail!("the subscription does not run: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_event_that_postgresql_refuses_is_parked_alone_and_counted_once_it_is_accepted() -> Result<()> {
    let (scene, orders) = logged(20).await?;
    let refuse = "ALTER TABLE revenue_1.by_sku ADD CONSTRAINT not_this CHECK (sku <> 'SKU-7')";
    scene.session.batch_execute(refuse).await?;
    let steps = scene.steps_with_retries(RevenueByMonth, AT_ONCE)?;
    assert_eq!(to_end(&steps).await?, 1, "the event that says its items");
    let mut expected = sums(&orders);
    expected.by_sku.remove("SKU-7");
    let found = scene.sums("revenue_1").await?;
    assert_eq!(found.by_sku, expected.by_sku, "the other orders are counted");
    assert_eq!(scene.number("SELECT count(*) FROM subscription_parked").await?, 1);

    scene.session.batch_execute("ALTER TABLE revenue_1.by_sku DROP CONSTRAINT not_this").await?;
    steps.retry_parked_once(100).await?;
    assert_eq!(scene.sums("revenue_1").await?, sums(&orders));
    assert_eq!(scene.number("SELECT count(*) FROM subscription_parked").await?, 0);
    Ok(())
}

#[tokio::test]
async fn sums_whose_row_another_session_has_locked_are_exact_in_the_end() -> Result<()> {
    let (scene, orders) = logged(20).await?;
    let steps = scene.steps_with_retries(RevenueByMonth, AT_ONCE)?;
    steps.run_once(2).await?;
    let mut locks = scene.database.connect().await?;
    let locked = locks.transaction().await?;
    locked.batch_execute("SELECT FROM revenue_1.by_month FOR UPDATE").await?;
    // Each event waits for the lock, for 50 ms, and is parked then.
    steps.run_once(1_000).await?;
    assert!(scene.number("SELECT count(*) FROM subscription_parked").await? > 0);
    locked.rollback().await?;
    to_end(&steps).await?;
    let expected = sums(&orders);
    wait::until("all events to be counted", SOON, || async {
        let retried = steps.retry_parked_once(100).await.map_err(|error| format!("{error:?}"))?;
        match scene.sums("revenue_1").await {
            Ok(found) if found == expected && retried == BatchOutcome::Empty => Ok(()),
            other => Err(format!("{retried:?}, {other:?}")),
        }
    })
    .await?;
    Ok(())
}
