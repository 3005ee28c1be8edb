//! A listener of the event log that fails: what that costs the summaries.

mod fault;

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::services::ServiceKind;
use testkit::wait;

use self::fault::{FAULTS, SUBSCRIPTION};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};
use crate::steady::SteadyOrders;

const ORDERS_PER_SECOND: u32 = 200;
/// Duration in measurements.
const LENGTH: u32 = 2;
const WARM_UP: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_mins(1);

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    stage.add_examples().await?;
    let mut p99 = vec![Vec::new(); FAULTS.len()];
    let mut healthy = Vec::new();
    for _ in 0..plan.rounds {
        round(stage, plan, &mut healthy, &mut p99).await?;
    }
    let figures = FAULTS.iter().zip(p99).map(|(fault, p99)| {
        let name = format!("{fault}: summaries: commit to visible, p99 (reference: it works)");
        Figure::new(name, "ms", p99).with_reference(healthy.clone()).with(Target::RatioAtMost(1.25))
    });
    Ok(figures.collect())
}

/// One projector, whose read model works at first and then has each of the faults.
async fn round(stage: &Stage, plan: Plan, healthy: &mut Vec<f64>, p99: &mut [Vec<f64>]) -> Result<()> {
    stage.empty().await?;
    stage.settle().await?;
    let projector = stage.service(ServiceKind::RevenueProjector, &[]).await?;
    let mut after = i64::from(u32::MAX);
    let mut next_orders = || {
        after += 2_000_000;
        SteadyOrders { per_second: ORDERS_PER_SECOND, after, every_hundredth: 1 }
    };
    // Not measured: warms up processes and server.
    next_orders().write(stage, WARM_UP).await?;
    healthy.push(write_and_measure(stage, next_orders(), plan).await?);
    for (fault, p99) in FAULTS.iter().zip(p99) {
        catch_up(stage).await?;
        let begun = fault.begin(stage).await?;
        // Not measured: what happens when it fails for the first time.
        next_orders().write(stage, WARM_UP).await?;
        let before = checkpoint(stage).await?;
        p99.push(write_and_measure(stage, next_orders(), plan).await?);
        ensure!(checkpoint(stage).await? == before, "{fault}: the listener went on");
        begun.end().await?;
    }
    catch_up(stage).await?;
    stop(projector)?;
    ensure!(stage.count("parked_events").await? == 0, "an event was parked");
    Ok(())
}

async fn write_and_measure(stage: &Stage, orders: SteadyOrders, plan: Plan) -> Result<f64> {
    orders.write(stage, plan.times(LENGTH)).await?;
    wait::until("events to be applied", LIMIT, || async {
        match stage.count("outbox").await {
            Ok(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    orders.delay_ms(stage, 0.99).await
}

async fn checkpoint(stage: &Stage) -> Result<i64> {
    let query = "SELECT checkpoint FROM subscriptions WHERE name = $1";
    Ok(stage.session.query_one(query, &[&SUBSCRIPTION]).await?.get(0))
}

/// Ends the listener's pause, and waits until it has handled every event.
async fn catch_up(stage: &Stage) -> Result<()> {
    let due = "UPDATE subscriptions SET next_attempt_at = now(), failures = 0 WHERE failures > 0";
    stage.session.batch_execute(due).await?;
    let left = "SELECT count(*) FROM event_log
                WHERE position > (SELECT checkpoint FROM subscriptions WHERE name = $1)";
    wait::until("the listener to catch up", LIMIT, || async {
        let left = stage.session.query_one(left, &[&SUBSCRIPTION]).await;
        let left: i64 = left.map_err(|error| error.to_string())?.get(0);
        if left == 0 { Ok(()) } else { Err(format!("{left} events")) }
    })
    .await?;
    Ok(())
}
