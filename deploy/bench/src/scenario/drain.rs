//! Projects a backlog of events; compares with the same work in SQL.

use std::time::Instant;

use anyhow::{Result, ensure};
use testkit::services::ServiceKind;

use crate::outbox::{check_projected, last_id, wait_until_drained};
use crate::pgbench::{Length, Pgbench};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_outbox;
use crate::stage::{Stage, stop};

pub(super) const EVENTS: u32 = 500_000;
/// The projector's batch size.
pub(super) const BATCH: u32 = 1_000;
const WORKERS: [u16; 3] = [1, 2, 4];
const CUSTOMERS: u32 = 100_000;

/// Claims, decodes, projects and deletes a batch of events in one statement, and keeps its position.
const ONE_BATCH: &str = include_str!("drain.pgbench.sql");

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let events = plan.rows(EVENTS);
    let mut figures = Vec::new();
    for workers in WORKERS {
        let (mut ours, mut reference) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            ours.push(drain(stage, workers, events).await?.per_second);
            reference.push(fill_and_project_by_sql(stage, workers, events, plan.rows(BATCH)).await?);
        }
        let figure = Figure::new(format!("workers: {workers}"), "events/s", ours);
        figures.push(figure.with_reference(reference).with(Target::RatioAtLeast(0.8)));
    }
    Ok(figures)
}

async fn fill(stage: &Stage, events: u32) -> Result<()> {
    stage.empty().await?;
    fill_outbox(stage, 1..events + 1, CUSTOMERS).await?;
    stage.settle().await
}

/// How a backlog was projected.
pub(super) struct Drained {
    /// From the start of the process until the last event was projected.
    pub(super) per_second: f64,
    /// The bytes that PostgreSQL has written to its log for an event meanwhile, of whatever kind.
    pub(super) wal_of_each: f64,
}

pub(super) async fn drain(stage: &Stage, workers: u16, events: u32) -> Result<Drained> {
    fill(stage, events).await?;
    let last = last_id(stage).await?;
    let (workers, wal) = (workers.to_string(), stage.wal_bytes().await?);
    let start = Instant::now();
    let projector = stage.service(ServiceKind::Projector, &[("WORKERS", &workers)]).await?;
    wait_until_drained(stage, last - i64::from(events) + 1, last).await?;
    let took = start.elapsed();
    let wal = stage.wal_bytes().await? - wal;
    stop(projector)?;
    check_projected(stage, events.into()).await?;
    let events = f64::from(events);
    Ok(Drained { per_second: events / took.as_secs_f64(), wal_of_each: wal / events })
}

async fn fill_and_project_by_sql(stage: &Stage, sessions: u16, events: u32, batch: u32) -> Result<f64> {
    fill(stage, events).await?;
    let per_second = project_by_sql(stage, sessions, events, batch).await?;
    check_projected(stage, events.into()).await?;
    Ok(per_second)
}

/// Projects the events of the outbox in SQL. Returns the rate per second.
pub(super) async fn project_by_sql(stage: &Stage, sessions: u16, events: u32, batch: u32) -> Result<f64> {
    let share = events / u32::from(sessions);
    ensure!(share.is_multiple_of(batch), "{events} events cannot be shared by {sessions} sessions");
    let run = Pgbench {
        script: ONE_BATCH,
        clients: sessions,
        length: Length::TransactionsOfEach(share / batch),
        variables: &[("batch", batch), ("start", 0)],
    };
    let ran = run.run(&stage.database_url()).await?;
    Ok(ran.per_second * f64::from(batch))
}
