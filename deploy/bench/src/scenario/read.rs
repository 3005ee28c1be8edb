//! Reads a customer's 20 newest orders over HTTP; compares with the SELECT alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::RequestBuilder;
use serde_json::Value;
use testkit::services::ServiceKind;

use crate::pgbench::{Length, Pgbench};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_summaries;
use crate::stage::{Stage, stop};
use crate::wrk::{self, Customers, Load, LoadResult, Pace};

/// One order more than a page per customer, so that each list has a next page.
pub(super) const ROWS: u32 = 21 * CUSTOMERS;
pub(super) const CUSTOMERS: u32 = 100_000;
pub(super) const CONNECTIONS: u16 = 64;
const SESSIONS: u16 = 8;

const ONE_LIST: &str = include_str!("read.pgbench.sql");

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let customers = plan.rows(CUSTOMERS);
    fill_summaries(stage, 1..plan.rows(ROWS) + 1, customers).await?;
    stage.settle().await?;
    let (mut ours, mut p99, mut reference) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let result = list_orders(stage, Customers::Zipf(customers), plan).await?;
        ours.push(result.per_second());
        p99.push(result.p99_ms());
        reference.push(select_orders(stage, customers, plan).await?);
    }
    Ok(vec![
        Figure::new("64 connections", "lists/s", ours)
            .with_reference(reference)
            .with(Target::RatioAtLeast(0.75)),
        Figure::new("64 connections, p99", "ms", p99),
    ])
}

/// Measures a new read-api, after a check of its responses.
pub(super) async fn list_orders(stage: &Stage, customers: Customers, plan: Plan) -> Result<LoadResult> {
    let service = stage.service(ServiceKind::ReadApi, &[]).await?;
    let bytes = check_responses(stage, service.url(), None, customers).await?;
    let load = Load::ListOrders(customers);
    if plan.warms_up() {
        let warm_up = Pace::max_rate(CONNECTIONS, Duration::from_secs(1));
        wrk::run(load, warm_up, service.url()).await?;
    }
    // A slow request delays later ones on its connection: that can only lower our figure.
    let pace = Pace { waits_for_all: false, ..Pace::max_rate(CONNECTIONS, plan.time) };
    let result = wrk::run(load, pace, service.url()).await?;
    stop(service)?;
    let each = result.bytes_each();
    ensure!(each >= bytes, "responses have {each} bytes on average, and no list is shorter than {bytes}");
    Ok(result)
}

/// Checks that the lists of some customers match SQL. Returns the size of the shortest response, in bytes.
pub(super) async fn check_responses(
    stage: &Stage,
    url: &str,
    token: Option<&str>,
    customers: Customers,
) -> Result<u64> {
    let (Customers::Zipf(count) | Customers::Uniform(count)) = customers;
    let mut shortest = u64::MAX;
    for number in [1, 2, 3, 10, 100, 1_000].into_iter().filter(|number| *number <= count) {
        let customer = format!("customer-{number}");
        let request = stage.http.get(format!("{url}/customers/{customer}/orders?limit=20"));
        let request = token.into_iter().fold(request, RequestBuilder::bearer_auth);
        let response = request.send().await?.error_for_status()?;
        let head = length_of_head(&response);
        let list = response.bytes().await?;
        shortest = shortest.min(u64::try_from(head + list.len())?);
        let list: Value = serde_json::from_slice(&list)?;
        let orders = list.get("orders").and_then(Value::as_array).context("no orders in the response")?;
        let listed: Vec<_> = orders.iter().filter_map(|order| order.get("order_id")?.as_str()).collect();
        let select = "SELECT order_id::text FROM order_summary WHERE customer_id = $1
                      ORDER BY placed_at DESC, order_id DESC LIMIT 20";
        let rows = stage.session.query(select, &[&customer]).await?;
        let stored: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        ensure!(
            !stored.is_empty() && listed == stored,
            "{customer} has {stored:?}, and was shown {listed:?}"
        );
    }
    Ok(shortest)
}

fn length_of_head(response: &reqwest::Response) -> usize {
    let fields =
        response.headers().iter().map(|(name, value)| name.as_str().len() + ": \r\n".len() + value.len());
    "HTTP/1.1 200 OK\r\n".len() + fields.sum::<usize>() + "\r\n".len()
}

async fn select_orders(stage: &Stage, customers: u32, plan: Plan) -> Result<f64> {
    let length = Length::Seconds(plan.seconds());
    let run = Pgbench { script: ONE_LIST, clients: SESSIONS, length, variables: &[("customers", customers)] };
    Ok(run.run(&stage.database_url()).await?.per_second)
}
