//! A listener of the event log that fails: what that costs the summaries.

mod fault;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::services::ServiceKind;
use testkit::wait;

use self::fault::{FAULTS, Fault};
use super::SUBSCRIPTION;
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
    for number in 0..usize::try_from(plan.rounds)? {
        round(stage, plan, number, &mut healthy, &mut p99).await?;
    }
    let figures = FAULTS.iter().zip(p99).map(|(fault, p99)| {
        let name = format!("{fault}: summaries: commit to visible, p99 (reference: it works)");
        Figure::new(name, "ms", p99).with_reference(healthy.clone()).with(Target::RatioAtMost(1.25))
    });
    Ok(figures.collect())
}

/// One projector, whose read model works and has each of the faults. Each round begins with another of these, because
/// tables grow from one to the next.
async fn round(
    stage: &Stage,
    plan: Plan,
    number: usize,
    healthy: &mut Vec<f64>,
    p99: &mut [Vec<f64>],
) -> Result<()> {
    stage.empty().await?;
    stage.settle().await?;
    let projector = stage.service(ServiceKind::RevenueProjector, &[]).await?;
    // The read model keeps what it has counted: orders of an earlier round would not make it write anything.
    let mut after = i64::from(u32::MAX) + i64::try_from(number)? * 100_000_000;
    let mut states: Vec<_> = FAULTS.iter().zip(p99).map(|(fault, p99)| (Some(fault), p99)).collect();
    states.push((None, healthy));
    let first = number % states.len();
    states.rotate_left(first);
    // The listener has found its place in the log before it is to fail.
    orders(after).write(stage, WARM_UP).await?;
    catch_up(stage).await?;
    for (fault, p99) in states {
        after += 4_000_000;
        p99.push(with_fault(stage, plan, fault, after).await?);
    }
    stop(projector)?;
    ensure!(stage.count("parked_events").await? == 0, "an event was parked");
    Ok(())
}

async fn with_fault(stage: &Stage, plan: Plan, fault: Option<&Fault>, after: i64) -> Result<f64> {
    let begun = match fault {
        Some(fault) => Some(fault.begin(stage).await?),
        None => None,
    };
    // Not measured: processes and server warm up, and the listener fails for the first time.
    orders(after).write(stage, WARM_UP).await?;
    let p99 = write_and_measure(stage, orders(after + 2_000_000), plan).await?;
    if let (Some(fault), Some(begun)) = (fault, begun) {
        // It may have parked some events: one that sleeps looks like one whose row is locked.
        ensure!(events_behind(stage).await? > 0, "{fault}: the listener kept up");
        begun.end().await?;
    }
    catch_up(stage).await?;
    Ok(p99)
}

fn orders(after: i64) -> SteadyOrders {
    SteadyOrders { per_second: ORDERS_PER_SECOND, after, every_hundredth: 1 }
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

async fn events_behind(stage: &Stage) -> Result<i64> {
    let shown = stage.operator()?.json(&["subscriptions", "show", SUBSCRIPTION]).await?;
    shown.get("lag_events").and_then(Value::as_i64).context("no lag")
}

/// Ends the listener's pause, and waits until it has handled every event.
async fn catch_up(stage: &Stage) -> Result<()> {
    let operator = stage.operator()?;
    operator.json(&["subscriptions", "resume", SUBSCRIPTION]).await?;
    wait::until("the listener to catch up", LIMIT, || async {
        let shown = operator.json(&["subscriptions", "show", SUBSCRIPTION]).await;
        let shown = shown.map_err(|error| error.to_string())?;
        if shown.get("lag_events").and_then(Value::as_i64) == Some(0) {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    })
    .await?;
    Ok(())
}
