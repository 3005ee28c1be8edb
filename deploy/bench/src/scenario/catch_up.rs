//! What a read model and a webhook endpoint do that were away while events were logged.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use testkit::services::{Operator, ServiceKind};
use testkit::wait;

use super::SUBSCRIPTION;
use crate::arrivals::Arrivals;
use crate::endpoints::Endpoints;
use crate::outbox::{check_projected, last_id, wait_until_drained};
use crate::plan::Plan;
use crate::receiver::Receiver;
use crate::report::Figure;
use crate::rows::{VERSIONS, fill_versions};
use crate::stage::{Stage, stop};

const CUSTOMERS: u32 = 100_000;
/// How often it is asked whether the read model has caught up.
const ASK_EVERY: Duration = Duration::from_millis(250);
const LIMIT: Duration = Duration::from_hours(1);

/// Measured once: the default takes minutes.
pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let orders = plan.rows(plan.listeners.events / VERSIONS);
    let events = u64::from(orders) * u64::from(VERSIONS);
    stage.add_examples().await?;
    let (operator, arrivals) = (stage.operator()?, Arrivals::default());
    let receiver = Receiver::start(&arrivals).await?;
    let mut endpoints = Endpoints::of(operator.clone());
    endpoints.add(&receiver.url(0), None).await?;
    endpoints.pause().await?;
    let allow = [("WEBHOOK_ALLOW_PRIVATE", "true")];
    let projector = stage.service(ServiceKind::RevenueProjector, &allow).await?;
    pause_read_model(&operator).await?;
    miss(stage, orders).await?;

    let read_model = read_model_catches_up(&operator).await?;
    let counted = "revenue_1.orders WHERE version = 3 AND status = 'shipped'";
    let counted = stage.count(counted).await?;
    ensure!(counted == u64::from(orders), "of {orders} orders, {counted} were counted to their end");

    let webhook = endpoint_catches_up(&endpoints, &arrivals, events).await?;
    arrivals.check_order()?;
    ensure!(arrivals.events() == events, "more events than were written");
    stop(projector)?;
    endpoints.remove().await?;
    let repeated = arrivals.repeated();
    let seconds = |what: &str, took: Duration| {
        Figure::new(
            format!("{what}, away during {events} events, has all of them"),
            "s",
            vec![took.as_secs_f64()],
        )
    };
    let repeated = Figure::new("webhooks sent twice", "events", vec![f64::from(u32::try_from(repeated)?)]);
    Ok(vec![seconds("a read model", read_model), seconds("a webhook endpoint", webhook), repeated])
}

/// It exists as soon as its program runs.
async fn pause_read_model(operator: &Operator) -> Result<()> {
    let pause = ["subscriptions", "pause", SUBSCRIPTION];
    wait::until_measured("the read model's subscription", LIMIT, || operator.json(&pause)).await?;
    Ok(())
}

/// Events are logged as always, by the projector that takes them from the outbox.
async fn miss(stage: &Stage, orders: u32) -> Result<()> {
    stage.empty().await?;
    fill_versions(stage, 1..orders + 1, CUSTOMERS).await?;
    let last = last_id(stage).await?;
    wait_until_drained(stage, last - i64::from(orders * VERSIONS) + 1, last).await?;
    check_projected(stage, orders.into()).await?;
    stage.settle().await
}

async fn endpoint_catches_up(endpoints: &Endpoints, arrivals: &Arrivals, events: u64) -> Result<Duration> {
    let start = Instant::now();
    endpoints.resume().await?;
    wait::until_measured("all webhooks", LIMIT, async || match arrivals.events() {
        arrived if arrived >= events => Ok(()),
        arrived => Err(format!("{arrived} of {events}")),
    })
    .await?;
    Ok(start.elapsed())
}

async fn read_model_catches_up(operator: &Operator) -> Result<Duration> {
    let start = Instant::now();
    operator.json(&["subscriptions", "resume", SUBSCRIPTION]).await?;
    loop {
        let shown = operator.json(&["subscriptions", "show", SUBSCRIPTION]).await?;
        let took = start.elapsed();
        let field = |name: &str| shown.get(name).with_context(|| format!("no {name} in {shown}"));
        ensure!(field("state")?.as_str() == Some("running"), "it does not run: {shown}");
        if field("lag_events")?.as_i64() == Some(0) {
            ensure!(field("parked_retrying")?.as_i64() == Some(0), "events were parked: {shown}");
            return Ok(took);
        }
        ensure!(took < LIMIT, "it does not catch up: {shown}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}
