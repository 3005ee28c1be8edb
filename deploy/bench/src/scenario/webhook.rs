//! The time from an order's commit until a webhook's receiver has its event.

use std::time::Duration;

use anyhow::{Context, Result};
use testkit::services::{Service, ServiceKind};
use testkit::wait;

use crate::arrivals::{Arrivals, Delays};
use crate::endpoints::Endpoints;
use crate::options::Listeners;
use crate::plan::Plan;
use crate::receiver::Receiver;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};
use crate::steady::SteadyOrders;

const ORDERS: SteadyOrders = SteadyOrders { per_second: 50, after: 0, every_hundredth: 1 };
const WARM_UP: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_mins(1);
/// The orders are placed and no more.
const OTHER_KIND: &str = "order_cancelled";

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let arrivals = Arrivals::default();
    let endpoints = add_endpoints(stage, plan.listeners, &arrivals).await?;
    let projectors = start_projectors(stage, plan.listeners.projectors).await?;
    // Not measured: connections are opened.
    receive(stage, plan, &arrivals, WARM_UP).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let delays = receive(stage, plan, &arrivals, plan.time).await?;
        p50.push(delays.percentile(50)?);
        p99.push(delays.percentile(99)?);
    }
    projectors.into_iter().try_for_each(stop)?;
    endpoints.remove().await?;
    let part = part(plan.listeners);
    Ok(vec![
        Figure::new(format!("{part}: commit to received, p50"), "ms", p50),
        Figure::new(format!("{part}: commit to received, p99"), "ms", p99).with(Target::AtMost(50.0)),
    ])
}

fn part(listeners: Listeners) -> String {
    let Listeners { endpoints, others, dead, projectors, .. } = listeners;
    let projectors = if projectors > 1 { format!(", {projectors} projectors") } else { String::new() };
    format!("endpoints: {endpoints}, {others} of another kind, {dead} dead{projectors}")
}

/// Those that never respond last, so that they have nothing in advance.
async fn add_endpoints(stage: &Stage, listeners: Listeners, arrivals: &Arrivals) -> Result<Endpoints> {
    let (receiver, silent) = (Receiver::start(arrivals).await?, Receiver::silent().await?);
    let mut endpoints = Endpoints::of(stage.operator()?);
    for number in 0..listeners.endpoints {
        endpoints.add(&receiver.url(number), None).await?;
    }
    for number in 0..listeners.others {
        endpoints.add(&receiver.url(number), Some(OTHER_KIND)).await?;
    }
    for number in 0..listeners.dead {
        endpoints.add(&silent.url(number), None).await?;
    }
    Ok(endpoints)
}

async fn start_projectors(stage: &Stage, count: u16) -> Result<Vec<Service>> {
    let mut projectors = Vec::new();
    for _ in 0..count {
        let allow = [("WEBHOOK_ALLOW_PRIVATE", "true")];
        projectors.push(stage.service(ServiceKind::Projector, &allow).await?);
    }
    Ok(projectors)
}

/// Writes orders for this long, and waits until each endpoint has all of them.
async fn receive(stage: &Stage, plan: Plan, arrivals: &Arrivals, time: Duration) -> Result<Delays> {
    stage.empty().await?;
    arrivals.forget();
    let written = ORDERS.write(stage, time).await?;
    let expected = u64::from(written) * u64::from(plan.listeners.endpoints);
    wait::until("all webhooks", LIMIT, async || {
        let arrived = arrivals.events();
        if arrived >= expected { Ok(()) } else { Err(format!("{arrived} of {expected}")) }
    })
    .await
    .context("events were not received in time")?;
    arrivals.check_order()?;
    arrivals.delays(stage).await
}
