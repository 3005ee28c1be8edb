//! Memory for each client and each connection to PostgreSQL.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::process;
use testkit::services::{Service, ServiceKind};
use testkit::wait;

use super::Sizes;
use super::clients::Clients;
use crate::plan::Plan;
use crate::rows::fill_summaries;
use crate::stage::{Stage, stop};
use crate::usage::resident_kb;

/// Clients of each kind. The memory of a process grows in steps of up to 2 MB, so there are many; the feed has 1,000
/// at most.
const CLIENTS: u32 = 900;
/// Before those that are measured: what is made once is there.
const FIRST_CLIENTS: u32 = 10;
/// A list and a snapshot have as many orders as by default.
const ORDERS_OF_EACH: u32 = 20;
const POOL_SIZE: u32 = 60;
const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn measure(stage: &Stage, plan: Plan, sizes: &mut Sizes) -> Result<()> {
    stage.empty().await?;
    let customers = CLIENTS + FIRST_CLIENTS;
    process::raise_descriptor_limit()?;
    fill_summaries(stage, 1..customers * ORDERS_OF_EACH + 1, customers).await?;
    stage.settle().await?;
    let pool_size = POOL_SIZE.to_string();
    let read_api = stage.service(ServiceKind::ReadApi, &[("DATABASE_POOL_SIZE", &pool_size)]).await?;
    let write_api = stage.service(ServiceKind::WriteApi, &[]).await?;
    let projector = stage.service(ServiceKind::Projector, &[]).await?;
    // All stay open: memory that one gives back, the next would use.
    let mut open = Vec::new();
    for kind in KINDS {
        let service = match kind.service {
            ServiceKind::WriteApi => &write_api,
            ServiceKind::ReadApi => &read_api,
            _ => &projector,
        };
        if kind.service == ServiceKind::Projector {
            until_no_event_comes(stage, service).await?;
        }
        open.push(kind.ask(stage, service, FIRST_CLIENTS, 0).await?);
        let before = resident_kb(service)?;
        let count = plan.rows(CLIENTS);
        open.push(kind.ask(stage, service, count, FIRST_CLIENTS).await?);
        let name = format!("{}, for each {}", kind.service.name(), kind.name);
        sizes.add(name, "KB", per(resident_kb(service)? - before, count));
    }
    sizes.add("read-api, for each connection of its pool", "KB", fill_pool(stage, &read_api).await?);
    drop(open);
    [write_api, read_api, projector].into_iter().try_for_each(stop)
}

/// The growth of a process is never negative: what it gave back meanwhile was not these clients'.
fn per(growth: f64, count: u32) -> f64 {
    growth.max(0.0) / f64::from(count)
}

struct Kind {
    service: ServiceKind,
    name: &'static str,
    /// The first line and a header.
    head: fn(u32) -> String,
    body: &'static str,
    /// The gauge of those that wait; without one, they get a response.
    waiting: Option<&'static str>,
}

const KINDS: [Kind; 5] = [
    Kind {
        service: ServiceKind::WriteApi,
        name: "client connection, idle after an order",
        head: |_| "POST /orders HTTP/1.1\r\ncontent-type: application/json".to_owned(),
        body: r#"{"customer_id": "alice", "items": [{"sku": "SKU", "quantity": 1, "price_cents": 1}]}"#,
        waiting: None,
    },
    Kind {
        service: ServiceKind::ReadApi,
        name: "client connection, idle after a list",
        head: |customer| format!("GET /customers/customer-{customer}/orders HTTP/1.1"),
        body: "",
        waiting: None,
    },
    Kind {
        service: ServiceKind::ReadApi,
        name: "live stream",
        head: |customer| format!("GET /customers/customer-{customer}/orders/stream HTTP/1.1"),
        body: "",
        waiting: None,
    },
    Kind {
        service: ServiceKind::ReadApi,
        name: "request that waits for a version",
        head: |order| {
            let id = format!("0193a0c0-5f6e-7c1a-9d7e-{order:012}");
            format!("GET /orders/{id}?min_version=1 HTTP/1.1\r\nprefer: wait=10")
        },
        body: "",
        waiting: Some("orders_version_waits "),
    },
    Kind {
        service: ServiceKind::Projector,
        name: "request that waits at the feed",
        head: |_| "GET /events?after=now HTTP/1.1\r\nprefer: wait=30".to_owned(),
        body: "",
        waiting: Some("orders_feed_waiting "),
    },
];

impl Kind {
    /// Opens the clients, whose numbers are greater than `after`, and waits until each has its response or waits.
    async fn ask(&self, stage: &Stage, service: &Service, count: u32, after: u32) -> Result<Clients> {
        let mut clients = Clients::connect(service.url(), count).await?;
        let number = |index| after + u32::try_from(index).unwrap_or_default() + 1;
        clients.ask(|index| (self.head)(number(index)), self.body).await?;
        let Some(gauge) = self.waiting else {
            clients.read().await?;
            return Ok(clients);
        };
        wait::until(gauge, LIMIT, async || match metric(stage, service, gauge).await {
            Ok(waiting) if waiting >= f64::from(after + count) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        Ok(clients)
    }
}

/// The orders of before would end the wait at the feed.
async fn until_no_event_comes(stage: &Stage, projector: &Service) -> Result<()> {
    let newest = format!("{}/events?after=now", projector.url());
    wait::until("the feed to have every event", LIMIT, || async {
        let response = stage
            .http
            .get(&newest)
            .header("prefer", "wait=1")
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let page: serde_json::Value = response.json().await.map_err(|error| error.to_string())?;
        let is_empty = page.get("events").and_then(|events| events.as_array()).is_some_and(Vec::is_empty);
        if is_empty { Ok(()) } else { Err(page.to_string()) }
    })
    .await?;
    Ok(())
}

async fn metric(stage: &Stage, service: &Service, name: &str) -> Result<f64> {
    let metrics = stage.http.get(format!("{}/metrics", service.admin_url())).send().await?.text().await?;
    let value =
        metrics.lines().find_map(|line| line.strip_prefix(name)).context("there is no such metric")?;
    Ok(value.parse()?)
}

/// Lists of all customers take a connection each. While the table is locked, none gives it back.
async fn fill_pool(stage: &Stage, read_api: &Service) -> Result<f64> {
    let mut clients = Clients::connect(read_api.url(), POOL_SIZE).await?;
    // Memory of the connections of these clients is not that of the pool.
    clients.get("/orders?limit=0").await?;
    clients.read().await?;
    let (before, opened) = (resident_kb(read_api)?, connections(stage, ServiceKind::ReadApi).await?);
    stage.session.batch_execute("BEGIN; LOCK TABLE order_summary IN ACCESS EXCLUSIVE MODE").await?;
    let asked = clients.get("/orders?limit=1").await;
    let read = clients.read().await;
    stage.session.batch_execute("ROLLBACK").await?;
    asked.and(read)?;
    let opened = connections(stage, ServiceKind::ReadApi).await?.saturating_sub(opened);
    ensure!(opened > POOL_SIZE / 2, "only {opened} connections of {POOL_SIZE} were opened");
    Ok(per(resident_kb(read_api)? - before, opened))
}

/// How many connections to PostgreSQL processes of this kind have.
pub(super) async fn connections(stage: &Stage, kind: ServiceKind) -> Result<u32> {
    let count =
        "SELECT count(*)::oid FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()";
    Ok(stage.session.query_one(count, &[&kind.role()]).await?.get(0))
}
