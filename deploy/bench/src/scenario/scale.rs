//! Whether an operation costs more where there are more orders. What is drained and written comes on top of them.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use local::services::ServiceKind;

use super::drain::{BATCH, run_sql};
use super::read::list_orders;
use crate::outbox::{check_projected, fill_and_drain};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::{fill_orders, fill_outbox, fill_summaries};
use crate::stage::{Stage, stop};
use crate::wrk::{self, Customers, Load, Pace};

const SIZES: [u32; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// Every customer has so many, so that all lists are of one length.
const ORDERS_PER_CUSTOMER: u32 = 20;

/// Events of new orders, drained by one worker.
const EVENTS: u32 = 100_000;

/// What one operation costs at one size, in microseconds; one value a round.
#[derive(Default)]
struct Costs {
    size: u32,
    read: Vec<f64>,
    drain: Vec<f64>,
    /// The same in SQL inside the server: how much of what is added is PostgreSQL's.
    drain_by_sql: Vec<f64>,
    write: Vec<f64>,
}

/// In each round all sizes follow each other, each with its orders made anew: what the rounds before have added would be most
/// of what the smallest has. There are half as many rounds as elsewhere, as one takes minutes.
pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let mut sizes = SIZES.map(|size| Costs { size: plan.rows(size), ..Costs::default() });
    for _ in 0..plan.rounds.div_ceil(2) {
        for costs in &mut sizes {
            costs.measure(stage, plan).await?;
        }
    }
    let [smallest, larger @ ..] = &sizes;
    let figure = |what: &str, size: u32, unit, ours: &[f64], comparator: &[f64]| {
        Figure::new(
            format!("{what}, from {size} orders on, beside from {}", smallest.size),
            unit,
            ours.to_vec(),
        )
        .beside(comparator.to_vec())
    };
    let target = Target::RatioAtMost(1.3);
    Ok(larger
        .iter()
        .flat_map(|at| {
            [
                figure("write", at.size, "µs an order", &at.write, &smallest.write).with(target),
                figure("drain", at.size, "µs an event", &at.drain, &smallest.drain).with(target),
                figure("drain by SQL", at.size, "µs an event", &at.drain_by_sql, &smallest.drain_by_sql),
                figure("read", at.size, "µs a list", &at.read, &smallest.read).with(target),
            ]
        })
        .collect())
}

impl Costs {
    /// Reads come first, as they add nothing.
    async fn measure(&mut self, stage: &Stage, plan: Plan) -> Result<()> {
        let customers = (self.size / ORDERS_PER_CUSTOMER).max(1);
        stage.empty().await?;
        fill_orders(stage, 1..self.size + 1, customers).await?;
        fill_summaries(stage, 1..self.size + 1, customers).await?;
        stage.settle().await?;
        let answered = list_orders(stage, Customers::Uniform(customers), plan.time).await?;
        self.read.push(1e6 / answered.per_second());
        let (size, events) = (self.size, plan.rows(EVENTS));
        self.drain.push(drain(stage, size, events, customers).await?);
        let batch = plan.rows(BATCH);
        self.drain_by_sql.push(drain_by_sql(stage, size + events, events, customers, batch).await?);
        self.write.push(write(stage, plan.time).await?);
        Ok(())
    }
}

async fn drain(stage: &Stage, size: u32, events: u32, customers: u32) -> Result<f64> {
    let projector = stage.service(ServiceKind::Projector, &[]).await?;
    let took = fill_and_drain(stage, behind(size, events), customers).await?;
    stop(projector)?;
    check_projected(stage, u64::from(size) + u64::from(events)).await?;
    Ok(took.as_secs_f64() * 1e6 / f64::from(events))
}

async fn drain_by_sql(stage: &Stage, size: u32, events: u32, customers: u32, batch: u32) -> Result<f64> {
    fill_outbox(stage, behind(size, events), customers).await?;
    stage.settle().await?;
    let per_second = run_sql(stage, 1, events, batch).await?;
    check_projected(stage, u64::from(size) + u64::from(events)).await?;
    Ok(1e6 / per_second)
}

/// The next orders where there are so many.
fn behind(size: u32, events: u32) -> Range<u32> {
    size + 1..size + 1 + events
}

async fn write(stage: &Stage, time: Duration) -> Result<f64> {
    stage.settle().await?;
    let before = stage.count("orders").await?;
    let service = stage.service(ServiceKind::WriteApi, &[]).await?;
    let answered = wrk::run(Load::PlaceOrders, Pace::flat_out(64, time), service.url()).await?;
    stop(service)?;
    super::write::check_stored(stage, before, answered.requests()).await?;
    Ok(1e6 / answered.per_second())
}
