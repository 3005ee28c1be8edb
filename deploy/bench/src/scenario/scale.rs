//! Measures whether an operation costs more with more orders.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use testkit::services::ServiceKind;

use super::drain::{BATCH, project_by_sql};
use super::read::{CONNECTIONS, list_orders};
use crate::outbox::{check_projected, fill_and_drain};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::{fill_orders, fill_outbox, fill_summaries, remove_summaries};
use crate::stage::{Stage, stop};
use crate::wrk::{self, Customers, Load, Pace};

const SIZES: [u32; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// Orders per customer, so that all lists have the same length.
const ORDERS_PER_CUSTOMER: u32 = 20;

/// Events of new orders for one worker.
const EVENTS: u32 = 100_000;

/// The cost of an operation at one size, in microseconds; one value per round.
#[derive(Default)]
struct Costs {
    size: u32,
    read: Vec<f64>,
    drain: Vec<f64>,
    /// The same events drained in SQL: PostgreSQL's part of the cost.
    drain_by_sql: Vec<f64>,
    write: Vec<f64>,
}

/// Each round measures all sizes, each with new orders, because orders of earlier rounds would dominate the smallest
/// size. There are half as many rounds as elsewhere, because each takes minutes. A quick run measures only the two
/// smallest sizes.
pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let how_many = if plan.shrink > 1 { 2 } else { SIZES.len() };
    let sizes = SIZES.iter().take(how_many);
    let mut sizes: Vec<_> = sizes.map(|size| Costs { size: plan.rows(*size), ..Costs::default() }).collect();
    for _ in 0..plan.rounds.div_ceil(2) {
        for costs in &mut sizes {
            costs.measure(stage, plan).await?;
        }
    }
    let Some((smallest, larger)) = sizes.split_first() else { return Ok(Vec::new()) };
    let against_smallest = larger.iter().flat_map(|costs| costs.against(smallest));
    Ok(against_smallest.chain(sizes.iter().map(Costs::against_sql)).collect())
}

impl Costs {
    /// Reads first, because they add no rows.
    async fn measure(&mut self, stage: &Stage, plan: Plan) -> Result<()> {
        let customers = (self.size / ORDERS_PER_CUSTOMER).max(1);
        stage.empty().await?;
        fill_orders(stage, 1..self.size + 1, customers).await?;
        fill_summaries(stage, 1..self.size + 1, customers).await?;
        stage.settle().await?;
        let result = list_orders(stage, Customers::Uniform(customers), plan).await?;
        self.read.push(1e6 / result.per_second());

        let new = NewOrders { stage, present: self.size, count: plan.rows(EVENTS), customers };
        self.drain.push(new.drain().await?);
        remove_summaries(stage, self.size + 1).await?;
        stage.settle().await?;
        self.drain_by_sql.push(new.drain_by_sql(plan.rows(BATCH)).await?);

        self.write.push(write(stage, plan.time).await?);
        Ok(())
    }

    fn against(&self, smallest: &Self) -> [Figure; 3] {
        [
            ("write", "µs an order", &self.write, &smallest.write),
            ("drain", "µs an event", &self.drain, &smallest.drain),
            ("read", "µs a list", &self.read, &smallest.read),
        ]
        .map(|(operation, unit, ours, reference)| {
            let name = format!("{operation} with {} orders (reference: {})", self.size, smallest.size);
            let figure = Figure::new(name, unit, ours.clone()).with_reference(reference.clone());
            figure.with(Target::RatioAtMost(1.3))
        })
    }

    fn against_sql(&self) -> Figure {
        let name = format!("drain with {} orders (reference: the same in SQL)", self.size);
        Figure::new(name, "µs an event", self.drain.clone()).with_reference(self.drain_by_sql.clone())
    }
}

struct NewOrders<'a> {
    stage: &'a Stage,
    present: u32,
    count: u32,
    customers: u32,
}

impl NewOrders<'_> {
    async fn drain(&self) -> Result<f64> {
        let projector = self.stage.service(ServiceKind::Projector, &[]).await?;
        let took = fill_and_drain(self.stage, self.numbers(), self.customers).await?;
        stop(projector)?;
        self.check_projected().await?;
        Ok(took.as_secs_f64() * 1e6 / f64::from(self.count))
    }

    async fn drain_by_sql(&self, batch: u32) -> Result<f64> {
        fill_outbox(self.stage, self.numbers(), self.customers).await?;
        let per_second = project_by_sql(self.stage, 1, self.count, batch).await?;
        self.check_projected().await?;
        Ok(1e6 / per_second)
    }

    fn numbers(&self) -> Range<u32> {
        self.present + 1..self.present + 1 + self.count
    }

    async fn check_projected(&self) -> Result<()> {
        check_projected(self.stage, u64::from(self.present) + u64::from(self.count)).await
    }
}

async fn write(stage: &Stage, time: Duration) -> Result<f64> {
    stage.settle().await?;
    let before = stage.count("orders").await?;
    let service = stage.service(ServiceKind::WriteApi, &[]).await?;
    let result = wrk::run(Load::PlaceOrders, Pace::max_rate(CONNECTIONS, time), service.url()).await?;
    stop(service)?;
    super::write::check_stored(stage, before, result.requests()).await?;
    Ok(1e6 / result.per_second())
}
