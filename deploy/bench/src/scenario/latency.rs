//! The time from an order's commit until readers see it, and the cost of an idle projector.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Client;
use serde_json::{Value, json};
use testkit::services::ServiceKind;
use tokio::task::JoinSet;

use crate::outbox::check_projected;
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};
use crate::usage::share_of_a_core;

const ORDERS_PER_SECOND: u32 = 50;

/// Duration in measurements.
const LENGTH: u32 = 6;

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let write_api = stage.service(ServiceKind::WriteApi, &[]).await?;
    let projector = stage.service(ServiceKind::Projector, &[]).await?;
    let read_api = stage.service(ServiceKind::ReadApi, &[]).await?;
    let (mut p50, mut p99, mut seen_p50, mut seen_p99, mut idle) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        stage.empty().await?;
        let mut seen =
            place_and_see(&stage.http, write_api.url(), read_api.url(), plan.times(LENGTH)).await?;
        check_projected(stage, u64::try_from(seen.len())?).await?;
        let [median, late] = commit_to_visible(stage).await?;
        p50.push(median);
        p99.push(late);
        seen.sort_unstable();
        seen_p50.push(percentile_ms(&seen, 50));
        seen_p99.push(percentile_ms(&seen, 99));
        idle.push(100.0 * share_of_a_core(&projector, plan.time).await?);
    }
    for service in [write_api, projector, read_api] {
        stop(service)?;
    }
    Ok(vec![
        Figure::new("commit to visible, p50", "ms", p50).with(Target::AtMost(2.0)),
        Figure::new("commit to visible, p99", "ms", p99).with(Target::AtMost(5.0)),
        Figure::new("write-api response to read-api response, p50", "ms", seen_p50),
        Figure::new("write-api response to read-api response, p99", "ms", seen_p99),
        Figure::new("idle projector", "% of a core", idle).with(Target::AtMost(2.0)),
    ])
}

/// Places orders at random times, independent of response times, and reads each back. Returns the times from
/// write-api's response until read-api returned the order.
async fn place_and_see(
    client: &Client,
    write_url: &str,
    read_url: &str,
    time: Duration,
) -> Result<Vec<Duration>> {
    let mut orders = JoinSet::new();
    let start = tokio::time::Instant::now();
    let mut due = Duration::ZERO;
    let mut number = 0_u64;
    while due < time {
        tokio::time::sleep_until(start + due).await;
        // The gaps of a Poisson process, so that some orders follow others closely. 1 - x is never 0.
        due += (Duration::from_secs(1) / ORDERS_PER_SECOND).mul_f64(-(1.0 - fastrand::f64()).ln());
        number += 1;
        let (client, write_url, read_url) = (client.clone(), write_url.to_owned(), read_url.to_owned());
        orders.spawn(async move { place_and_see_one(&client, &write_url, &read_url, number).await });
    }
    orders.join_all().await.into_iter().collect()
}

async fn place_and_see_one(
    client: &Client,
    write_url: &str,
    read_url: &str,
    number: u64,
) -> Result<Duration> {
    let item = |sku: &str| json!({"sku": sku, "quantity": 1, "price_cents": 450});
    let items = ["A", "B", "C"].map(item);
    let order = json!({"customer_id": format!("customer-{number}"), "items": items});
    let placed = client.post(format!("{write_url}/orders")).json(&order).send().await?;
    let placed: Value = placed.error_for_status()?.json().await?;
    let responded = Instant::now();
    let order_id = placed.get("order_id").and_then(Value::as_str).unwrap_or_default();
    let seen = client.get(format!("{read_url}/orders/{order_id}?min_version=1")).header("prefer", "wait=10");
    seen.send().await?.error_for_status()?;
    Ok(responded.elapsed())
}

/// The median and the 99th percentile of the time between the two commits, in milliseconds. PostgreSQL records a
/// commit's time before its flush, so the order's flush is included and the summary's is not.
async fn commit_to_visible(stage: &Stage) -> Result<[f64; 2]> {
    let query = "SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY 1000 * extract(epoch FROM
                     pg_xact_commit_timestamp(s.xmin) - pg_xact_commit_timestamp(o.xmin))::float8)
                 FROM orders o JOIN order_summary s USING (order_id)";
    let percentiles: Vec<f64> = stage.session.query_one(query, &[]).await?.get(0);
    percentiles.try_into().map_err(|_| anyhow::anyhow!("no percentiles"))
}

/// For times in ascending order.
fn percentile_ms(times: &[Duration], percent: usize) -> f64 {
    let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
