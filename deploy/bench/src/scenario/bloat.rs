//! Draining while an old snapshot keeps every deleted event from being vacuumed.

use std::time::Instant;

use anyhow::{Context, Result};
use local::services::ServiceKind;
use tokio_postgres::{IsolationLevel, NoTls};

use crate::outbox::{check_projected, last_id, wait_until_drained};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_outbox;
use crate::stage::Stage;

pub(super) const NAME: &str = "bloat";

/// In and out, a tenth at a time.
const EVENTS: u32 = 300_000;
const TENTHS: u32 = 10;

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let (mut last, mut first) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let rates = drain_by_tenths(stage, plan.rows(EVENTS)).await?;
        first.push(*rates.first().context("no tenth")?);
        last.push(*rates.last().context("no tenth")?);
    }
    Ok(vec![Figure {
        scenario: NAME,
        name: "the last tenth beside the first".to_owned(),
        unit: "events/s",
        ours: last,
        comparator: first,
        target: Some(Target::RatioAtLeast(0.9)),
    }])
}

/// Events per second of each tenth.
async fn drain_by_tenths(stage: &Stage, events: u32) -> Result<Vec<f64>> {
    stage.empty().await?;
    stage.settle().await?;
    let (mut old, connection) = tokio_postgres::connect(&stage.database_url(), NoTls).await?;
    tokio::spawn(connection);
    let old = old.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    old.batch_execute("SELECT FROM outbox").await?;

    let projector = stage.service(ServiceKind::Projector, &[]).await?;
    // The first batches are small, and open connections.
    drain(stage, 1..events / TENTHS + 1).await?;
    let mut rates = Vec::new();
    for tenth in 1..=TENTHS {
        let start = tenth * (events / TENTHS) + 1;
        rates.push(drain(stage, start..start + events / TENTHS).await?);
    }
    projector.stop()?;
    old.rollback().await?;
    check_projected(stage, (u64::from(events) / u64::from(TENTHS)) * u64::from(TENTHS + 1)).await?;
    Ok(rates)
}

/// From the commit of these orders' events until the last has been projected, in events per second.
async fn drain(stage: &Stage, orders: std::ops::Range<u32>) -> Result<f64> {
    let events = orders.len();
    fill_outbox(stage, orders, 100_000).await?;
    let start = Instant::now();
    let last = last_id(stage).await?;
    wait_until_drained(stage, last - i64::try_from(events)? + 1, last).await?;
    Ok(f64::from(u32::try_from(events)?) / start.elapsed().as_secs_f64())
}
