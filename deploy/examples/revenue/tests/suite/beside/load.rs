//! What goes on while the read model is changed: orders, and readers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use fastrand::Rng;
use projector::batch::BatchRunner;
use serde_json::Value;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::{MARKER_CURRENCY, MARKER_SKU};
use crate::orders::Order;
use crate::support::{Api, emit, log_all};

/// Pause between two orders.
const PACE: Duration = Duration::from_millis(10);

/// An order takes its steps when this many others have been placed after it.
const LATER: usize = 5;

/// Places orders, and takes them through their steps, until the stop signal. Returns the orders.
pub(super) async fn orders(
    session: &Client,
    claim: &BatchRunner,
    stop: &CancellationToken,
) -> Result<Vec<Order>> {
    let mut random = Rng::new();
    let (mut orders, mut open) = (Vec::new(), VecDeque::new());
    let mut pace = tokio::time::interval(PACE);
    while !stop.is_cancelled() || !open.is_empty() {
        if !stop.is_cancelled() {
            let order = Order::random(&mut random, 1_000 + u128::try_from(orders.len())?);
            emit(session, &[order.event(1)]).await?;
            open.push_back(order.clone());
            orders.push(order);
        }
        if (open.len() > LATER || stop.is_cancelled())
            && let Some(order) = open.pop_front()
        {
            emit(session, order.events().get(1..).unwrap_or_default()).await?;
        }
        log_all(claim).await?;
        pace.tick().await;
    }
    Ok(orders)
}

/// Reads over HTTP until the stop signal: every response must be whole. Counts them.
pub(super) async fn readers(api: &Api, stop: &CancellationToken, responses: &AtomicUsize) -> Result<()> {
    let client = reqwest::Client::new();
    while !stop.is_cancelled() {
        for (path, list) in
            [("/revenue?by=month&limit=1000", "revenue"), ("/orders-by-sku?limit=1000", "skus")]
        {
            let response = client.get(format!("{}{path}", api.url)).send().await?;
            ensure!(response.status().is_success(), "{path}: {}", response.status());
            let body: Value = response.json().await?;
            ensure!(body[list].as_array().is_some_and(|rows| !rows.is_empty()), "{path}: {body}");
            responses.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Reads both views in one statement until the stop signal: both must be those of one model.
pub(super) async fn mixture(session: &Client, stop: &CancellationToken) -> Result<()> {
    let both = format!(
        "SELECT (SELECT count(*) FROM revenue.by_month WHERE currency = '{MARKER_CURRENCY}'),
                (SELECT count(*) FROM revenue.by_sku WHERE sku = '{MARKER_SKU}')"
    );
    let both = session.prepare(&both).await?;
    while !stop.is_cancelled() {
        let row = session.query_one(&both, &[]).await?;
        let (month, sku): (i64, i64) = (row.get(0), row.get(1));
        ensure!(month == sku, "a reader saw months of one model and SKUs of the other");
    }
    Ok(())
}
