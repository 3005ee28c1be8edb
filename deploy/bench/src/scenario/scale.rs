//! Whether an operation costs more where there are more orders.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use local::services::ServiceKind;

use super::read::list_orders;
use crate::outbox::{last_id, wait_until_drained};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::{fill_orders, fill_outbox, fill_summaries};
use crate::stage::Stage;
use crate::wrk::{self, Customers, Load, Pace};

pub(super) const NAME: &str = "scale";

const SIZES: [u32; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// Every customer has so many, so that all lists are of one length.
const ORDERS_PER_CUSTOMER: u32 = 20;

/// Events of new orders, drained by one worker.
const EVENTS: u32 = 100_000;

/// What one operation costs at one size, in microseconds; one value a round.
struct Costs {
    size: u32,
    read: Vec<f64>,
    drain: Vec<f64>,
    write: Vec<f64>,
}

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let mut costs = Vec::new();
    for size in SIZES {
        costs.push(costs_at(stage, plan, plan.rows(size)).await?);
    }
    let smallest = costs.first().context("no size")?;
    let larger = costs.get(1..).unwrap_or_default();
    let figure = |what: &str, size: u32, unit, ours: &[f64], comparator: &[f64]| Figure {
        scenario: NAME,
        name: format!("{what} with {size} orders, beside {}", smallest.size),
        unit,
        ours: ours.to_vec(),
        comparator: comparator.to_vec(),
        target: Some(Target::RatioAtMost(1.3)),
    };
    Ok(larger
        .iter()
        .flat_map(|at| {
            [
                figure("write", at.size, "µs an order", &at.write, &smallest.write),
                figure("drain", at.size, "µs an event", &at.drain, &smallest.drain),
                figure("read", at.size, "µs a list", &at.read, &smallest.read),
            ]
        })
        .collect())
}

/// Reads come first, as they add nothing; writes last, as they add most.
async fn costs_at(stage: &Stage, plan: Plan, size: u32) -> Result<Costs> {
    let customers = (size / ORDERS_PER_CUSTOMER).max(1);
    stage.empty().await?;
    fill_orders(stage, 1..size + 1, customers).await?;
    fill_summaries(stage, 1..size + 1, customers).await?;
    stage.settle().await?;
    let mut costs = Costs { size, read: Vec::new(), drain: Vec::new(), write: Vec::new() };
    for _ in 0..plan.rounds {
        let answered = list_orders(stage, Customers::Uniform(customers), plan.time).await?;
        costs.read.push(1e6 / answered.per_second());
    }
    for round in 0..plan.rounds {
        let start = size + 1 + round * plan.rows(EVENTS);
        costs.drain.push(drain(stage, start..start + plan.rows(EVENTS), customers).await?);
    }
    for _ in 0..plan.rounds {
        costs.write.push(write(stage, plan.time).await?);
    }
    Ok(costs)
}

async fn drain(stage: &Stage, orders: std::ops::Range<u32>, customers: u32) -> Result<f64> {
    let events = u32::try_from(orders.len())?;
    fill_outbox(stage, orders, customers).await?;
    stage.settle().await?;
    let last = last_id(stage).await?;
    let before = stage.count("order_summary").await?;
    let start = Instant::now();
    let projector = stage.service(ServiceKind::Projector, &[]).await?;
    wait_until_drained(stage, last - i64::from(events) + 1, last).await?;
    let took = start.elapsed();
    projector.stop()?;
    crate::outbox::check_projected(stage, before + u64::from(events)).await?;
    Ok(took.as_secs_f64() * 1e6 / f64::from(events))
}

async fn write(stage: &Stage, time: Duration) -> Result<f64> {
    stage.session.batch_execute("TRUNCATE outbox").await?;
    stage.settle().await?;
    let before = stage.count("orders").await?;
    let service = stage.service(ServiceKind::WriteApi, &[]).await?;
    let pace = Pace { connections: 64, time, per_second: 0 };
    let answered = wrk::run(Load::PlaceOrders, pace, service.url()).await?;
    service.stop()?;
    super::write::check_stored(stage, before, answered.requests, 64).await?;
    Ok(1e6 / answered.per_second())
}
