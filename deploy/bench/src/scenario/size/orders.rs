//! WAL and bytes of an order over its whole life, and what the processes have after it.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use testkit::services::{Service, ServiceKind};
use testkit::wait;

use super::Sizes;
use super::clients::Clients;
use super::memory::connections;
use crate::arrivals::Arrivals;
use crate::endpoints::Endpoints;
use crate::outbox::{check_projected, last_id, wait_until_drained};
use crate::plan::Plan;
use crate::receiver::Receiver;
use crate::stage::{Stage, stop};
use crate::usage::{private_kb, resident_mb};

const ORDERS: u32 = 2_000;
const CUSTOMERS: u32 = 1_000;
/// Requests at once: some share a commit.
const AT_ONCE: usize = 16;
const READERS: u32 = 64;
/// After it is placed, an order is paid, shipped and delivered.
const STEPS: [&str; 3] = ["pay", "ship", "deliver"];
/// As by default.
const KEPT_DAYS: &str = "7";
const LIMIT: Duration = Duration::from_mins(2);

pub(super) async fn measure(stage: &Stage, plan: Plan, sizes: &mut Sizes) -> Result<()> {
    let write_api = stage.service(ServiceKind::WriteApi, &[]).await?;
    let projector = stage.service(ServiceKind::Projector, &[("WEBHOOK_ALLOW_PRIVATE", "true")]).await?;
    let read_api = stage.service(ServiceKind::ReadApi, &[]).await?;
    let services = [&write_api, &projector, &read_api];
    memory(sizes, services, "at the start")?;
    let life = Life { stage, write_api: &write_api, orders: plan.rows(ORDERS), arrivals: None };
    let (orders, events) = (f64::from(life.orders), f64::from(life.orders * 4));

    let operator = stage.operator()?;
    operator.json(&["log", "retention", "--days", "0"]).await?;
    let unlogged = life.live().await?;
    operator.json(&["log", "retention", "--days", KEPT_DAYS]).await?;
    let logged = life.live().await?;
    sizes.add("an order's whole life: WAL", "bytes", logged.wal() / orders);
    sizes.add("an order's whole life, without the event log: WAL", "bytes", unlogged.wal() / orders);
    sizes.add("placing an order: WAL", "bytes", logged.placed / orders);
    sizes.add("a step of an order: WAL", "bytes", logged.steps / (events - orders));
    for table in ["orders", "order_summary"] {
        sizes.add(format!("an order in {table}"), "bytes", table_bytes(stage, table).await? / orders);
    }
    sizes.add("an event in the event log", "bytes", table_bytes(stage, "event_log").await? / events);
    memory(sizes, services, "after some thousand orders")?;
    let before = stage.wal_bytes().await?;
    tokio::time::sleep(plan.time).await;
    let idle = (stage.wal_bytes().await? - before) / plan.time.as_secs_f64();
    sizes.add("nothing to do: WAL", "bytes/s", idle);

    let arrivals = Arrivals::default();
    let receiver = Receiver::start(&arrivals).await?;
    let mut endpoints = Endpoints::of(operator);
    endpoints.add(&receiver.url(0), None).await?;
    let delivered = Life { arrivals: Some(&arrivals), ..life }.live().await?.wal();
    sizes.add("a webhook delivery: WAL", "bytes", ((delivered - logged.wal()) / events).max(0.0));
    let attempts = stage.count("webhook_attempts").await?;
    let bytes = table_bytes(stage, "webhook_attempts").await?;
    sizes.add("a webhook delivery, for 7 days", "bytes", bytes / f64::from(u32::try_from(attempts)?));
    read(&read_api).await?;
    servers_side(stage, sizes).await?;
    endpoints.remove().await?;
    [write_api, projector, read_api].into_iter().try_for_each(stop)
}

fn memory(sizes: &mut Sizes, services: [&Service; 3], when: &str) -> Result<()> {
    for service in services {
        sizes.add(format!("{} {when}", service.kind().name()), "MB", resident_mb(service)?);
    }
    Ok(())
}

/// Lists of one customer, an order that is not there, and lists of all customers: these use each pool of connections.
async fn read(read_api: &Service) -> Result<()> {
    let mut clients = Clients::connect(read_api.url(), READERS).await?;
    for path in ["/customers/customer-1/orders", "/orders/0193a0c0-5f6e-7c1a-9d7e-000000000001", "/orders"] {
        clients.get(path).await?;
        clients.read().await?;
    }
    Ok(())
}

/// Connections of the processes, and their memory in the server, without what it shares between all of them.
async fn servers_side(stage: &Stage, sizes: &mut Sizes) -> Result<()> {
    for kind in ServiceKind::ALL {
        let name = kind.name();
        sizes.add(format!("{name} to PostgreSQL"), "connections", f64::from(connections(stage, kind).await?));
        let pids = "SELECT pid FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()";
        let pids = stage.session.query(pids, &[&kind.role()]).await?;
        let of_each = pids.iter().map(|row| private_kb(row.get(0))).collect::<Result<Vec<_>>>();
        let of_each =
            of_each.context("the memory of the server's processes: is it on this machine, and yours?")?;
        let count = f64::from(u32::try_from(of_each.len())?);
        let mean = of_each.iter().sum::<f64>() / 1024.0 / count;
        sizes.add(format!("{name}, a connection in PostgreSQL, mean"), "MB", mean);
        sizes.add(
            format!("{name}, a connection in PostgreSQL, max"),
            "MB",
            of_each.into_iter().fold(0.0, f64::max) / 1024.0,
        );
    }
    Ok(())
}

/// With its indexes and partitions.
async fn table_bytes(stage: &Stage, table: &str) -> Result<f64> {
    let bytes = "WITH tree AS (SELECT $1::text::regclass AS id
                     UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::text::regclass)
                 SELECT sum(pg_total_relation_size(id))::float8 FROM tree";
    Ok(stage.session.query_one(bytes, &[&table]).await?.get(0))
}

/// Bytes of WAL.
struct Written {
    placed: f64,
    steps: f64,
}

impl Written {
    fn wal(&self) -> f64 {
        self.placed + self.steps
    }
}

/// Orders that are placed, paid, shipped and delivered.
struct Life<'a> {
    stage: &'a Stage,
    write_api: &'a Service,
    orders: u32,
    /// Of the endpoint, if there is one.
    arrivals: Option<&'a Arrivals>,
}

impl Life<'_> {
    /// The WAL includes that of a VACUUM after each step, as autovacuum does it in the course of days.
    async fn live(&self) -> Result<Written> {
        self.stage.empty().await?;
        self.stage.settle().await?;
        // Not counted: the first change of each page after a checkpoint writes it whole.
        let first = self.orders / 5 + 1;
        self.place(first).await?;
        self.handled(first).await?;
        self.stage.empty().await?;
        self.arrivals.inspect(|arrivals| arrivals.forget());
        let start = self.stage.wal_bytes().await?;
        let ids = self.place(self.orders).await?;
        self.handled(self.orders).await?;
        let placed = self.stage.wal_bytes().await?;
        for (step, events) in STEPS.iter().zip(2..) {
            self.step(&ids, step).await?;
            self.handled(self.orders * events).await?;
        }
        check_projected(self.stage, self.orders.into()).await?;
        let end = self.stage.wal_bytes().await?;
        Ok(Written { placed: placed - start, steps: end - placed })
    }

    /// Waits until these events are projected, and delivered if there is an endpoint.
    async fn handled(&self, events: u32) -> Result<()> {
        wait_until_drained(self.stage, 0, last_id(self.stage).await?).await?;
        wait::until("all webhooks", LIMIT, async || match self.arrivals.map(Arrivals::events) {
            Some(arrived) if arrived < u64::from(events) => Err(format!("{arrived} of {events}")),
            _ => Ok(()),
        })
        .await?;
        Ok(self.stage.session.batch_execute("VACUUM orders, order_summary, outbox, deliveries").await?)
    }

    async fn place(&self, count: u32) -> Result<Vec<String>> {
        let item = |number: u32, quantity: u32| {
            let sku = format!("SKU-{:05}", number % 100_000);
            json!({"sku": sku, "quantity": quantity, "price_cents": 1999})
        };
        let placed = stream::iter(0..count).map(|number| async move {
            let items = [item(number, 1), item(number * 7, 2), item(number * 31, 1)];
            let customer_id = format!("customer-{}", number % CUSTOMERS);
            let body = json!({"customer_id": customer_id, "currency": "EUR", "items": items});
            let placed = self.post("/orders", &body).await?;
            let id = placed.get("order_id").and_then(Value::as_str).context("no order_id")?;
            anyhow::Ok(id.to_owned())
        });
        placed.buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn step(&self, ids: &[String], step: &str) -> Result<()> {
        let shipment = json!({"carrier": "DHL", "tracking_number": "JD014600003889"});
        let body = if step == "ship" { shipment } else { json!({}) };
        let taken = stream::iter(ids).map(|id| {
            let (path, body) = (format!("/orders/{id}/{step}"), &body);
            async move { self.post(&path, body).await.map(drop) }
        });
        taken.buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.stage.http.post(format!("{}{path}", self.write_api.url())).json(body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}
