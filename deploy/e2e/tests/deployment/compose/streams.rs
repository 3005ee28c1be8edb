//! Clients that watch a customer, and reconnect as read-api's README says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use testkit::wait;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::shop::Shop;

const SOON: Duration = Duration::from_mins(1);
/// "No heartbeat for 12 seconds: the connection is dead."
const SILENCE: Duration = Duration::from_secs(12);

/// Watches until it is dropped.
pub(crate) struct Watcher {
    seen: Arc<Mutex<Seen>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    last_id: Option<String>,
    orders: BTreeSet<String>,
    connections: u32,
}

impl Watcher {
    pub(crate) fn start(shop: &Shop, customer: &'static str) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (shop, of_task) = (shop.clone(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = watch(&shop, customer, &of_task).await {
                    println!("a stream ended: {error:#}");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Self { seen, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn connections(&self) -> u32 {
        lock(&self.seen).connections
    }

    /// Waits until it has seen each of the orders.
    pub(crate) async fn until_seen(&self, orders: &[Uuid]) -> Result<()> {
        wait::until("a stream to have every order", SOON, || {
            let seen = lock(&self.seen);
            let missing = orders.iter().filter(|order| !seen.orders.contains(&order.to_string())).count();
            std::future::ready(if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing")) })
        })
        .await?;
        Ok(())
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads one stream to its end.
async fn watch(shop: &Shop, customer: &str, seen: &Mutex<Seen>) -> Result<()> {
    let last_id = lock(seen).last_id.clone();
    let query = last_id.map(|id| format!("?last_event_id={id}")).unwrap_or_default();
    let path = format!("/customers/{customer}/orders/stream{query}");
    let mut response = shop.open(Method::GET, &path, None).await?;
    ensure!(response.status() == StatusCode::OK, "{}", response.status());
    lock(seen).connections += 1;
    let mut text = String::new();
    while let Some(frame) =
        tokio::time::timeout(SILENCE, response.body_mut().frame()).await.context("silence")?
    {
        let Ok(data) = frame?.into_data() else { continue };
        text.push_str(std::str::from_utf8(&data)?);
        while let Some((event, rest)) = text.split_once("\n\n") {
            take(event, &mut lock(seen))?;
            text = rest.to_owned();
        }
    }
    bail!("the server has ended it")
}

fn take(event: &str, seen: &mut Seen) -> Result<()> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    if let Some(id) = field("id") {
        seen.last_id = Some(id.to_owned());
    }
    let Some(data) = field("data") else { return Ok(()) };
    let data: Value = serde_json::from_str(data)?;
    let orders = data.get("orders").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![data]);
    seen.orders.extend(orders.iter().filter_map(|order| Some(order.get("order_id")?.as_str()?.to_owned())));
    Ok(())
}
