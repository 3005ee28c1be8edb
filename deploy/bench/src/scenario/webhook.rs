//! The time from an order's commit until a webhook's receiver has its event.

mod receiver;

use std::time::Duration;

use anyhow::{Context, Result};
use testkit::services::ServiceKind;
use testkit::wait;

use self::receiver::Receiver;
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};
use crate::steady::SteadyOrders;

const ORDERS: SteadyOrders = SteadyOrders { per_second: 50, after: 0, every_hundredth: 1 };
const LIMIT: Duration = Duration::from_mins(1);

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let receiver = Receiver::start().await?;
    add_endpoint(stage, &receiver.url()).await?;
    let projector = stage.service(ServiceKind::Projector, &[("WEBHOOK_ALLOW_PRIVATE", "true")]).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        stage.empty().await?;
        receiver.forget();
        let written = ORDERS.write(stage, plan.time).await?;
        wait::until("all webhooks", LIMIT, async || {
            let arrived = receiver.count();
            if arrived >= usize::try_from(written).unwrap_or(usize::MAX) { Ok(()) } else { Err(arrived) }
        })
        .await?;
        let delays = delays(stage, &receiver).await?;
        p50.push(percentile(&delays, 50)?);
        p99.push(percentile(&delays, 99)?);
    }
    stop(projector)?;
    remove_endpoints(stage).await?;
    Ok(vec![
        Figure::new("commit to received, p50", "ms", p50),
        Figure::new("commit to received, p99", "ms", p99).with(Target::AtMost(50.0)),
    ])
}

async fn add_endpoint(stage: &Stage, url: &str) -> Result<()> {
    let add = "WITH endpoint AS (
                   INSERT INTO webhook_endpoints (slot, url, kinds) VALUES (1, $1, '{}') RETURNING id),
               secret AS (
                   INSERT INTO webhook_secrets (endpoint, secret)
                   SELECT id, repeat('s', 32)::bytea FROM endpoint)
               INSERT INTO subscriptions (name, checkpoint, history)
               SELECT 'webhook:' || id, missing_up_to, history FROM endpoint, event_log_state";
    stage.session.execute(add, &[&url]).await?;
    Ok(())
}

async fn remove_endpoints(stage: &Stage) -> Result<()> {
    let remove = "DELETE FROM webhook_endpoints; DELETE FROM subscriptions WHERE name LIKE 'webhook:%'";
    Ok(stage.session.batch_execute(remove).await?)
}

/// Of each order, in milliseconds, in ascending order. The receiver's clock is the database's.
async fn delays(stage: &Stage, receiver: &Receiver) -> Result<Vec<f64>> {
    let commits =
        "SELECT order_id::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM orders";
    let mut delays = Vec::new();
    for row in stage.session.query(commits, &[]).await? {
        let (order_id, committed): (String, f64) = (row.get(0), row.get(1));
        let arrived =
            receiver.received_at(&order_id).with_context(|| format!("{order_id} was not received"))?;
        delays.push(1_000.0 * (arrived - committed));
    }
    delays.sort_unstable_by(f64::total_cmp);
    Ok(delays)
}

fn percentile(delays: &[f64], percent: usize) -> Result<f64> {
    let index = (delays.len() * percent / 100).min(delays.len().saturating_sub(1));
    delays.get(index).copied().context("no orders")
}
