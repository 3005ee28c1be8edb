//! A cell with its processes, and what its clients see.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use migrate::Cell;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::services::{Operator, Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;

use crate::canary::receiver::Receiver;

const LIMIT: Duration = Duration::from_secs(30);

/// The customer has orders in each cell.
const CUSTOMER: &str = "alice";

pub(super) struct CellScene {
    pub(super) name: &'static str,
    write: Service,
    read: Service,
    projector: Service,
    receiver: Receiver,
    client: Client,
    _logs: TempDir,
}

impl CellScene {
    /// Makes the cell, and starts its processes.
    pub(super) async fn start(database: &TestDatabase, name: &'static str) -> Result<Self> {
        Cell::new(name)?.up(&database.superuser_url()).await?;
        let logs = tempfile::tempdir()?;
        let start = async |kind: ServiceKind| {
            let program = ServiceBinaries::built().await?.program(kind);
            let url = url_in(database, kind.role(), name);
            let variables = [("WEBHOOK_ALLOW_PRIVATE", "true")];
            let mut service = Service::start_with(&variables, kind, &program, &url, 0, logs.path())?;
            service.wait_until_ready().await?;
            anyhow::Ok(service)
        };
        let (write, read) = (start(ServiceKind::WriteApi).await?, start(ServiceKind::ReadApi).await?);
        let (projector, receiver) = (start(ServiceKind::Projector).await?, Receiver::start().await?);
        let program = ServiceBinaries::built().await?.program(ServiceKind::Projector);
        let operator = Operator::new(program, url_in(database, ServiceKind::Projector.role(), name));
        operator.json(&["webhooks", "add", "--url", &format!("{}/events", receiver.url())]).await?;
        // A request that hangs is a failure.
        let client = Client::builder().timeout(LIMIT).build()?;
        Ok(Self { name, write, read, projector, receiver, client, _logs: logs })
    }

    /// Places an order under this key. Its only item is named after the cell.
    pub(super) async fn place(&self, key: &str) -> Result<Value> {
        let body =
            json!({"customer_id": CUSTOMER, "items": [{"sku": self.name, "quantity": 1, "price_cents": 5}]});
        let request = self.client.post(format!("{}/orders", self.write.url())).header("idempotency-key", key);
        let response = request.json(&body).send().await?;
        ensure!([StatusCode::CREATED, StatusCode::OK].contains(&response.status()), "{response:?}");
        Ok(response.json().await?)
    }

    pub(super) async fn pay(&self, order: &str) -> Result<StatusCode> {
        let request = self.client.post(format!("{}/orders/{order}/pay", self.write.url()));
        Ok(request.json(&json!({})).send().await?.status())
    }

    /// The status of the response for one order.
    pub(super) async fn read(&self, order: &str) -> Result<StatusCode> {
        Ok(self.client.get(format!("{}/orders/{order}", self.read.url())).send().await?.status())
    }

    /// The orders of the customer, as id, status and SKU, once there are as many.
    pub(super) async fn list(&self, count: usize, status: &str) -> Result<BTreeSet<String>> {
        let url = format!("{}/customers/{CUSTOMER}/orders?limit=100&status={status}", self.read.url());
        let listed = wait::until("the list", LIMIT, async || {
            let list = self.get(&url).await?;
            let orders = list.get("orders").and_then(Value::as_array).cloned().unwrap_or_default();
            if orders.len() >= count { Ok(orders) } else { Err(format!("{}: {list}", self.name)) }
        });
        listed.await?.iter().map(|order| self.own(order, "/order_id", "/last_item_sku")).collect()
    }

    /// The ids of the events in the feed, once there are as many.
    pub(super) async fn feed(&self, count: usize) -> Result<BTreeSet<String>> {
        let url = format!("{}/events?limit=1000", self.projector.url());
        let found = wait::until("the feed", LIMIT, async || {
            let page = self.get(&url).await?;
            let events = page.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
            if events.len() >= count { Ok(events) } else { Err(format!("{}: {page}", self.name)) }
        });
        found
            .await?
            .iter()
            .map(|event| self.own(event, "/data/event_id", "/data/order/last_item_sku"))
            .collect()
    }

    /// The checkpoint at the end of the feed.
    pub(super) async fn checkpoint(&self) -> Result<String> {
        let url = format!("{}/events?limit=1000", self.projector.url());
        let page = self.get(&url).await.map_err(anyhow::Error::msg)?;
        Ok(page.get("checkpoint").and_then(Value::as_str).context("no checkpoint")?.to_owned())
    }

    /// The status of the response for events after a checkpoint.
    pub(super) async fn go_on(&self, checkpoint: &str) -> Result<StatusCode> {
        let url = format!("{}/events?after={checkpoint}", self.projector.url());
        Ok(self.client.get(url).send().await?.status())
    }

    /// The ids of the events that the webhook has sent, once there are as many.
    pub(super) async fn sent(&self, count: usize) -> Result<BTreeSet<String>> {
        let bodies = wait::until("the webhook", LIMIT, async || {
            let bodies = self.receiver.bodies("/events");
            if bodies.len() >= count { Ok(bodies) } else { Err(format!("{}: {}", self.name, bodies.len())) }
        });
        let read = |body: &String| {
            let message: Value = serde_json::from_str(body)?;
            self.own(&message, "/data/event_id", "/data/order/last_item_sku")
        };
        bodies.await?.iter().map(read).collect()
    }

    /// Follows the customer's orders until the stream has had each of these as paid. Returns all that was sent.
    pub(super) async fn follow(&self, count: usize) -> Result<String> {
        let url = format!("{}/customers/{CUSTOMER}/orders/stream", self.read.url());
        let mut response = self.client.get(url).send().await?.error_for_status()?;
        let mut text = String::new();
        while text.matches(r#""status":"paid""#).count() < count {
            let chunk = response.chunk().await?.with_context(|| format!("the stream ended: {text}"))?;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        Ok(text)
    }

    /// The id and the name of the first event of a stream that resumes after `last_event_id`.
    pub(super) async fn first_event(&self, last_event_id: Option<&str>) -> Result<(String, String)> {
        let mut request = self.client.get(format!("{}/customers/{CUSTOMER}/orders/stream", self.read.url()));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let mut response = request.send().await?.error_for_status()?;
        let mut text = String::new();
        loop {
            let chunk = response.chunk().await?.with_context(|| format!("the stream ended: {text}"))?;
            text.push_str(&String::from_utf8_lossy(&chunk));
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            // The data follow these.
            if let (Some(id), Some(name), true) = (field("id: "), field("event: "), text.contains("\ndata: "))
            {
                return Ok((id, name));
            }
        }
    }

    async fn get(&self, url: &str) -> Result<Value, String> {
        let response = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        response.json().await.map_err(|error| error.to_string())
    }

    /// The text at `id`, of what belongs to this cell.
    fn own(&self, value: &Value, id: &str, sku: &str) -> Result<String> {
        let sku = value.pointer(sku).and_then(Value::as_str);
        ensure!(sku == Some(self.name), "{} has {value}", self.name);
        Ok(value.pointer(id).and_then(Value::as_str).context("no id")?.to_owned())
    }
}

pub(super) fn id_of(order: &Value) -> Result<String> {
    Ok(order.get("order_id").and_then(Value::as_str).context("no id")?.to_owned())
}

/// The URL of this cell, as it stands in `DATABASE_URL`.
fn url_in(database: &TestDatabase, role: &str, schema: &str) -> String {
    format!("{}?options=-c%20search_path%3D{schema}", database.url(role))
}
