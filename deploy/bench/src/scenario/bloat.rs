//! Draining while an old snapshot keeps VACUUM from removing deleted events.

use anyhow::{Context, Result};
use testkit::services::ServiceKind;
use tokio_postgres::IsolationLevel;

use crate::outbox::{check_projected, fill_and_drain};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};

/// Fills and drains a tenth at a time.
const EVENTS: u32 = 300_000;
const TENTHS: u32 = 10;
const CUSTOMERS: u32 = 100_000;

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let (mut last, mut first) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let rates = drain_by_tenths(stage, plan.rows(EVENTS)).await?;
        first.push(*rates.first().context("no tenth")?);
        last.push(*rates.last().context("no tenth")?);
    }
    let figure = Figure::new("last tenth (reference: first tenth)", "events/s", last);
    Ok(vec![figure.with_reference(first).with(Target::RatioAtLeast(0.9))])
}

/// The rate of each tenth, in events per second.
async fn drain_by_tenths(stage: &Stage, events: u32) -> Result<Vec<f64>> {
    stage.empty().await?;
    let projector = stage.service(ServiceKind::Projector, &[]).await?;
    let tenth = events / TENTHS;
    // Not measured: the first batches are small and open connections.
    fill_and_drain(stage, 1..tenth + 1, CUSTOMERS).await?;
    stage.settle().await?;

    let (mut old, connection) = service_kit::database::connect(&stage.database_url()).await?;
    tokio::spawn(connection);
    let old = old.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    old.batch_execute("SELECT FROM outbox").await?;
    let mut rates = Vec::new();
    for number in 1..=TENTHS {
        let start = number * tenth + 1;
        let took = fill_and_drain(stage, start..start + tenth, CUSTOMERS).await?;
        rates.push(f64::from(tenth) / took.as_secs_f64());
    }
    stop(projector)?;
    old.rollback().await?;
    check_projected(stage, u64::from(tenth) * u64::from(TENTHS + 1)).await?;
    Ok(rates)
}
