//! Places orders over HTTP; compares with pgbench, which stores rows of the same size, one order per commit.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::services::ServiceKind;

use crate::pgbench::{Length, Pgbench};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};
use crate::wrk::{self, Load, LoadResult, Pace};

const CONNECTIONS: [u16; 2] = [64, 256];

/// Inserts order and event in one statement, of the same size as ours and with growing ids. It has an advantage: its
/// JSON is constant, and parsed only once.
const ONE_ORDER: &str = include_str!("write.pgbench.sql");

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for connections in CONNECTIONS {
        let (mut ours, mut p99, mut reference) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let placed = place_orders(stage, connections, plan).await?;
            ours.push(placed.per_second());
            p99.push(placed.p99_ms());
            reference.push(store_orders(stage, plan).await?);
        }
        let name = format!("{connections} connections");
        let late = Figure::new(format!("{name}, p99"), "ms", p99);
        let rate = Figure::new(name, "orders/s", ours).with_reference(reference);
        figures.extend([rate.with(Target::RatioAtLeast(2.0)), late]);
    }
    Ok(figures)
}

async fn place_orders(stage: &Stage, connections: u16, plan: Plan) -> Result<LoadResult> {
    stage.empty().await?;
    stage.settle().await?;
    let service = stage.service(ServiceKind::WriteApi, &[]).await?;
    let pace = Pace::max_rate(connections, plan.time);
    let mut before = 0;
    if plan.warms_up() {
        let warm_up = Pace { time: Duration::from_secs(1), ..pace };
        before = wrk::run(Load::PlaceOrders, warm_up, service.url()).await?.requests();
    }
    let result = wrk::run(Load::PlaceOrders, pace, service.url()).await?;
    stop(service)?;
    check_stored(stage, 0, before + result.requests()).await?;
    Ok(result)
}

/// Checks that the acknowledged orders are stored in addition to those `before`, each with its event.
pub(super) async fn check_stored(stage: &Stage, before: u64, acknowledged: u64) -> Result<()> {
    let stored = stage.count("orders").await?.saturating_sub(before);
    let events = stage.count("outbox").await?;
    let with_event =
        stage.count("(SELECT DISTINCT payload -> 'order' ->> 'order_id' FROM outbox) AS with_event").await?;
    compare(acknowledged, [stored, events, with_event])
}

fn compare(acknowledged: u64, [stored, events, with_event]: [u64; 3]) -> Result<()> {
    ensure!(stored == acknowledged, "{acknowledged} orders were acknowledged, {stored} are stored");
    ensure!(
        (events, with_event) == (stored, stored),
        "{stored} orders have {events} events, of {with_event} orders"
    );
    Ok(())
}

async fn store_orders(stage: &Stage, plan: Plan) -> Result<f64> {
    stage.empty().await?;
    stage.settle().await?;
    let length = Length::Seconds(plan.seconds());
    let run = Pgbench { script: ONE_ORDER, clients: 64, length, variables: &[("n", 0)] };
    let ran = run.run(&stage.database_url()).await?;
    for table in ["orders", "outbox"] {
        let stored = stage.count(table).await?;
        ensure!(stored == ran.transactions, "{table} has {stored} rows of {} transactions", ran.transactions);
    }
    Ok(ran.per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_additional_order_or_event_is_an_error() {
        assert!(compare(3, [3, 3, 3]).is_ok());
        for counts in [[2, 2, 2], [4, 4, 4], [3, 2, 2], [3, 4, 3], [3, 3, 2]] {
            assert!(compare(3, counts).is_err(), "{counts:?}");
        }
    }
}
