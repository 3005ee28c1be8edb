//! A cell with its processes, and what its clients see.

mod processes;
mod stream;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use self::processes::Processes;
pub use self::stream::{OrderStream, StreamEvent};
use crate::services::{Operator, ServiceBinaries, ServiceKind};
use crate::wait;
use crate::webhook_receiver::Receiver;

const LIMIT: Duration = Duration::from_mins(1);

/// Has orders in each cell.
pub const CUSTOMER: &str = "alice";

/// Dropping it ends its processes.
#[derive(Debug)]
pub struct CellScene {
    pub name: &'static str,
    processes: Processes,
    receiver: Receiver,
    client: Client,
}

impl CellScene {
    /// Starts the processes of a cell that is there, with an endpoint for its events. `url_of` has the URL of the cell
    /// for each role. Bound to the calling thread.
    pub async fn start(name: &'static str, url_of: impl Fn(&str) -> String) -> Result<Self> {
        let processes = Processes::start(&url_of).await?;
        let receiver = Receiver::start().await?;
        let operator = operator(ServiceKind::Projector, &url_of).await?;
        operator.json(&["webhooks", "add", "--url", &format!("{}/events", receiver.url())]).await?;
        // A request that hangs is a failure.
        let client = Client::builder().timeout(LIMIT).build()?;
        Ok(Self { name, processes, receiver, client })
    }

    /// Replaces each process by one with this URL, as [`Self::restart`].
    pub async fn roll(&self, url_of: impl Fn(&str) -> String) -> Result<()> {
        for kind in ServiceKind::ALL {
            self.processes.restart(kind, &url_of).await?;
        }
        Ok(())
    }

    /// Starts a process, which gets requests when it is ready, and stops the one before. Bound to the calling thread.
    pub async fn restart(&self, kind: ServiceKind, url_of: impl Fn(&str) -> String) -> Result<()> {
        self.processes.restart(kind, &url_of).await
    }

    pub async fn stop(&self, kind: ServiceKind) -> Result<()> {
        self.processes.stop(kind).await
    }

    /// Places an order of [`CUSTOMER`] under this key.
    pub async fn place(&self, key: &str) -> Result<Value> {
        let (status, order) = self.place_for(CUSTOMER, key).await?;
        ensure!([StatusCode::CREATED, StatusCode::OK].contains(&status), "{status} {order}");
        Ok(order)
    }

    /// Places an order under this key. Its only item is named after the cell.
    pub async fn place_for(&self, customer: &str, key: &str) -> Result<(StatusCode, Value)> {
        let item = json!({"sku": self.name, "quantity": 1, "price_cents": 5});
        let body = json!({"customer_id": customer, "items": [item]});
        let request = self.client.post(format!("{}/orders", self.write_url())).header("idempotency-key", key);
        let response = request.json(&body).send().await?;
        Ok((response.status(), response.json().await?))
    }

    pub async fn pay(&self, order: &str) -> Result<StatusCode> {
        Ok(self.step(order, "pay", &json!({})).await?.0)
    }

    /// Takes a step of an order, such as `ship`.
    pub async fn step(&self, order: &str, step: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let request = self.client.post(format!("{}/orders/{order}/{step}", self.write_url())).json(body);
        let response = request.send().await?;
        Ok((response.status(), response.json().await?))
    }

    /// The status of the response for one order.
    pub async fn read(&self, order: &str) -> Result<StatusCode> {
        let request = self.client.get(format!("{}/orders/{order}", self.read_url()));
        Ok(request.send().await?.status())
    }

    /// A response of read-api, which waits as long as `Prefer` allows.
    pub async fn get_waiting(&self, path: &str) -> Result<(StatusCode, Value)> {
        let request = self.client.request(Method::GET, format!("{}{path}", self.read_url()));
        let response = request.header("prefer", "wait=10").send().await?;
        Ok((response.status(), response.json().await?))
    }

    /// The orders of the customer, as id, status and SKU, once there are as many.
    pub async fn list(&self, count: usize, status: &str) -> Result<BTreeSet<String>> {
        let listed = wait::until("the list", LIMIT, async || {
            let url = format!("{}/customers/{CUSTOMER}/orders?limit=100&status={status}", self.read_url());
            let list = self.get(&url).await?;
            let orders = list.get("orders").and_then(Value::as_array).cloned().unwrap_or_default();
            if orders.len() >= count { Ok(orders) } else { Err(format!("{}: {list}", self.name)) }
        });
        listed.await?.iter().map(|order| self.own(order, "/order_id", "/last_item_sku")).collect()
    }

    /// The ids of the events in the feed, once there are as many.
    pub async fn feed(&self, count: usize) -> Result<BTreeSet<String>> {
        let found = wait::until("the feed", LIMIT, async || {
            let page = self.page("?limit=1000").await?;
            let events = events_of(&page);
            if events.len() >= count { Ok(events) } else { Err(format!("{}: {page}", self.name)) }
        });
        let own = |event: &Value| self.own(event, "/data/event_id", "/data/order/last_item_sku");
        found.await?.iter().map(own).collect()
    }

    /// A page of the feed.
    pub async fn page(&self, query: &str) -> Result<Value, String> {
        self.get(&format!("{}/events{query}", self.processes.url(ServiceKind::Projector))).await
    }

    /// The checkpoint at the end of the feed.
    pub async fn checkpoint(&self) -> Result<String> {
        let page = self.page("?limit=1000").await.map_err(anyhow::Error::msg)?;
        checkpoint_of(&page)
    }

    /// The status of the response for events after a checkpoint.
    pub async fn go_on(&self, checkpoint: &str) -> Result<StatusCode> {
        let feed = self.processes.url(ServiceKind::Projector);
        Ok(self.client.get(format!("{feed}/events?after={checkpoint}")).send().await?.status())
    }

    /// The ids of the events that the webhook has sent, once there are as many.
    pub async fn sent(&self, count: usize) -> Result<BTreeSet<String>> {
        let sent = wait::until("the webhook", LIMIT, async || {
            let sent = self.sent_now().map_err(|error| error.to_string())?;
            if sent.len() >= count { Ok(sent) } else { Err(format!("{}: {}", self.name, sent.len())) }
        });
        Ok(sent.await?)
    }

    fn sent_now(&self) -> Result<BTreeSet<String>> {
        let read = |body: &String| {
            let message: Value = serde_json::from_str(body)?;
            self.own(&message, "/data/event_id", "/data/order/last_item_sku")
        };
        self.receiver.bodies("/events").iter().map(read).collect()
    }

    /// The id and the name of the first event of a stream that goes on after the event with this id.
    pub async fn first_event(&self, after: Option<&str>) -> Result<(String, String)> {
        let mut stream = OrderStream::open(&self.client, &self.read_url(), CUSTOMER, after).await?;
        loop {
            let event = stream.next_event().await?.context("the stream ended")?;
            if let (Some(id), Some(name)) = (event.id, event.name) {
                return Ok((id, name));
            }
        }
    }

    /// Follows the customer's orders until the stream has had each of these as paid. Returns all that was sent.
    pub async fn follow(&self, count: usize) -> Result<String> {
        let mut stream = OrderStream::open(&self.client, &self.read_url(), CUSTOMER, None).await?;
        while stream.text().matches(r#""status":"paid""#).count() < count {
            stream.next_event().await?.with_context(|| format!("the stream ended: {}", stream.text()))?;
        }
        Ok(stream.text().to_owned())
    }

    /// Places and pays orders. All cells use the same keys, from which their ids come. Returns the ids, and what a
    /// stream has sent of them. What else the cell shows must be its own.
    pub async fn trade(&self, orders: usize) -> Result<(BTreeSet<String>, String)> {
        let trading = async {
            let mut placed = BTreeSet::new();
            for number in 0..orders {
                let id = id_of(&self.place(&format!("key-{number}")).await?)?;
                ensure!(self.pay(&id).await? == StatusCode::OK, "{id}");
                placed.insert(id);
            }
            anyhow::Ok(placed)
        };
        let (placed, stream) = tokio::join!(trading, self.follow(orders));
        let (placed, stream) = (placed?, stream?);
        ensure!(self.list(orders, "paid").await? == placed, "{} lists other orders", self.name);
        let events = self.feed(2 * orders).await?;
        ensure!(events.len() == 2 * orders, "{} has {} events", self.name, events.len());
        ensure!(self.sent(2 * orders).await? == events, "{} has sent other events", self.name);
        Ok((placed, stream))
    }

    /// The address of write-api now.
    #[must_use]
    pub fn write_url(&self) -> String {
        self.processes.url(ServiceKind::WriteApi)
    }

    /// The address of read-api now.
    #[must_use]
    pub fn read_url(&self) -> String {
        self.processes.url(ServiceKind::ReadApi)
    }

    /// The address of the probes of a process now.
    #[must_use]
    pub fn admin_url(&self, kind: ServiceKind) -> String {
        self.processes.admin_url(kind)
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

/// The commands of a process.
pub async fn operator(kind: ServiceKind, url_of: impl Fn(&str) -> String) -> Result<Operator> {
    let program = ServiceBinaries::built().await?.program(kind);
    Ok(Operator::new(program, url_of(kind.role())))
}

pub fn id_of(order: &Value) -> Result<String> {
    Ok(order.get("order_id").and_then(Value::as_str).context("no id")?.to_owned())
}

/// The events of a page of the feed.
#[must_use]
pub fn events_of(page: &Value) -> Vec<Value> {
    page.get("events").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Where the feed goes on after a page.
pub fn checkpoint_of(page: &Value) -> Result<String> {
    Ok(page.get("checkpoint").and_then(Value::as_str).context("no checkpoint")?.to_owned())
}
