//! Clients that follow the orders of a cell, and go on after each interruption.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::cell::{CUSTOMER, CellScene, OrderStream, checkpoint_of, events_of};
use testkit::wait;
use tokio::task::AbortHandle;
use tokio_postgres::Client;

use crate::shop::lock;

const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Reads the feed from its start, after the checkpoint of each page.
pub(crate) struct Feed {
    /// Order and version of each event, in the order of the feed.
    events: Arc<Mutex<Vec<(String, i64)>>>,
    /// Responses that do not come from a failure of the service: a checkpoint that is no longer valid.
    refusals: Arc<Mutex<Vec<Value>>>,
    task: AbortHandle,
}

impl Feed {
    pub(crate) fn follow(scene: Arc<CellScene>) -> Self {
        let (events, refusals) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (read, refused) = (Arc::clone(&events), Arc::clone(&refusals));
        let task = tokio::spawn(async move {
            let mut after = String::new();
            loop {
                let page = scene.page(&after).await.unwrap_or_default();
                match (page.get("type").and_then(Value::as_str), checkpoint_of(&page)) {
                    (None, Ok(checkpoint)) => {
                        lock(&read).extend(events_of(&page).iter().filter_map(order_and_version));
                        after = format!("?after={checkpoint}");
                    }
                    (None | Some("/problems/unavailable"), _) => {}
                    (Some(_), _) => lock(&refused).push(page),
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { events, refusals, task: task.abort_handle() }
    }

    /// Both events of each of these orders, each once, and in the order of versions.
    pub(crate) async fn has_all(&self, orders: &[String]) -> Result<()> {
        let events = wait::until("the feed", LIMIT, async || {
            let events = lock(&self.events).clone();
            if events.len() >= 2 * orders.len() { Ok(events) } else { Err((events.len(), 2 * orders.len())) }
        })
        .await?;
        ensure!(lock(&self.refusals).is_empty(), "the feed has refused {:?}", lock(&self.refusals));
        let mut versions: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (order, version) in &events {
            versions.entry(order).or_default().push(*version);
        }
        for order in orders {
            let found = versions.remove(order.as_str()).unwrap_or_default();
            ensure!(found == [1, 2], "the feed has these versions of {order}: {found:?}");
        }
        ensure!(versions.is_empty(), "the feed has other orders: {versions:?}");
        Ok(())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn order_and_version(event: &Value) -> Option<(String, i64)> {
    let order = event.pointer("/data/order")?;
    Some((order.get("order_id")?.as_str()?.to_owned(), order.get("version")?.as_i64()?))
}

/// Follows the orders of [`CUSTOMER`].
pub(crate) struct Stream {
    /// The newest version of each order.
    seen: Arc<Mutex<BTreeMap<String, i64>>>,
    task: AbortHandle,
}

impl Stream {
    pub(crate) fn follow(scene: Arc<CellScene>) -> Self {
        let seen = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let known = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let client = reqwest::Client::new();
            let mut last_id = None;
            loop {
                let opened =
                    OrderStream::open(&client, &scene.read_url(), CUSTOMER, last_id.as_deref()).await;
                if let Ok(mut stream) = opened {
                    while let Ok(Some(event)) = stream.next_event().await {
                        last_id = event.id.or(last_id);
                        for (order, version) in versions_in(&event.data) {
                            lock(&known)
                                .entry(order)
                                .and_modify(|newest| *newest = version.max(*newest))
                                .or_insert(version);
                        }
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { seen, task: task.abort_handle() }
    }

    /// The newest version of each order that the customer has.
    pub(crate) async fn has_all(&self, session: &Client, cell: &str) -> Result<()> {
        let query = format!(
            "SELECT order_id::text, version::bigint FROM {cell}.orders WHERE customer_id = '{CUSTOMER}'"
        );
        let rows = session.query(&query, &[]).await?;
        let expected: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        wait::until("the stream", LIMIT, async || {
            let seen = lock(&self.seen).clone();
            if seen == expected { Ok(()) } else { Err(format!("{seen:?}, not {expected:?}")) }
        })
        .await
        .context("the stream")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The orders in an event of the stream: one, or those of a snapshot.
pub(crate) fn versions_in(data: &Value) -> Vec<(String, i64)> {
    let orders = data.get("orders").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![data.clone()]);
    let read =
        |order: &Value| Some((order.get("order_id")?.as_str()?.to_owned(), order.get("version")?.as_i64()?));
    orders.iter().filter_map(read).collect()
}
