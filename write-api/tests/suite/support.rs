//! A write-api and a database for each test.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use service_kit::database::{Database, DatabaseConfig};
use service_kit::metrics::Registry;
use service_kit::tasks::CriticalTasks;
use shared_events::OrderEvent;
use testkit::fault_proxy::FaultProxy;
use testkit::test_database::TestDatabase;
use testkit::{readiness, wait};
use tokio_postgres::Client;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;
use write_api::adapter::postgres::{Limits, PgOrderWriter};
use write_api::budget::Budget;
use write_api::domain::{Cents, CustomerId, Order, OrderLine, OrderLines, Quantity, Sku};
use write_api::{BY_KEY_ONLY, Config};

/// A running write-api, which stops when this value is dropped.
pub(crate) struct Replica {
    pub(crate) url: String,
    /// The listener of its probes and metrics.
    pub(crate) admin_url: String,
    pub(crate) client: reqwest::Client,
    _stop: DropGuard,
}

/// A running write-api and the database that it writes to.
pub(crate) struct Api {
    replica: Replica,
    pub(crate) database: TestDatabase,
}

impl std::ops::Deref for Api {
    type Target = Replica;

    fn deref(&self) -> &Replica {
        &self.replica
    }
}

impl Api {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// With additional variables.
    pub(crate) async fn start_with(vars: &[(&str, &str)]) -> Result<Self> {
        let database = TestDatabase::create().await?;
        let replica = Replica::start(&database.url("orders_write_api"), vars)?;
        Ok(Self { replica, database })
    }

    /// With a proxy in front of the database.
    pub(crate) async fn start_behind_a_proxy(vars: &[(&str, &str)]) -> Result<(Self, FaultProxy)> {
        let database = TestDatabase::create().await?;
        let (proxy, url) = database.behind_a_proxy("orders_write_api").await?;
        Ok((Self { replica: Replica::start(&url, vars)?, database }, proxy))
    }

    /// The numbers of stored orders and events.
    pub(crate) async fn stored(&self) -> Result<(i64, i64)> {
        let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)";
        let row = self.database.connect().await?.query_one(counts, &[]).await?;
        Ok((row.get(0), row.get(1)))
    }
}

impl Replica {
    /// Writes to the database at `database_url`.
    pub(crate) fn start(database_url: &str, vars: &[(&str, &str)]) -> Result<Self> {
        let common = [
            ("DATABASE_URL", database_url),
            ("DATABASE_POOL_WAIT_MS", "500"),
            ("PORT", "0"),
            ("ADMIN_PORT", "0"),
            ("AUTH", "off"),
            ("API_DOCS", "on"),
            ("SHUTDOWN_DELAY_MS", "0"),
        ];
        let is_given = |name: &str| vars.iter().any(|(given, _)| *given == name);
        let common = common.iter().filter(|(name, _)| !is_given(name));
        let vars = common.chain(vars).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let stop = CancellationToken::new();
        let server = write_api::bind(&Config::from_vars(&vars.collect())?, stop.clone())?;
        let url = format!("http://{}", server.address());
        let admin_url = format!("http://{}", server.admin_address());
        tokio::spawn(server.run());
        Ok(Self { url, admin_url, client: reqwest::Client::new(), _stop: stop.drop_guard() })
    }

    pub(crate) async fn place(&self, body: &Value) -> Result<Response> {
        Ok(self.client.post(format!("{}/orders", self.url)).json(body).send().await?)
    }

    /// Places the standard order, and returns its id.
    pub(crate) async fn placed(&self) -> Result<String> {
        let placed: Value = self.place(&order()).await?.error_for_status()?.json().await?;
        Ok(placed.get("order_id").and_then(Value::as_str).context("no order_id")?.to_owned())
    }

    /// Requests a step without a body.
    pub(crate) async fn step(&self, order_id: &str, step: &str) -> Result<Response> {
        Ok(self.client.post(format!("{}/orders/{order_id}/{step}", self.url)).send().await?)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response> {
        Ok(self.client.get(format!("{}{path}", self.url)).send().await?)
    }

    /// Waits until `/readyz` returns this status.
    pub(crate) async fn until_ready_is(&self, expected: StatusCode) -> Result<()> {
        readiness::until_ready_is(&self.admin_url, expected).await
    }

    /// A request to the listener of the probes and metrics.
    pub(crate) async fn probe(&self, path: &str) -> Result<Response> {
        Ok(self.client.get(format!("{}{path}", self.admin_url)).send().await?)
    }
}

/// A writer with a single connection, whose session prepares all statements.
pub(crate) struct SingleSessionWriter {
    pub(crate) test_database: TestDatabase,
    pub(crate) database: Database,
    pub(crate) writer: PgOrderWriter,
    pub(crate) budget: Budget,
}

impl SingleSessionWriter {
    pub(crate) async fn open() -> Result<Self> {
        Self::open_with(&CriticalTasks::new(CancellationToken::new())).await
    }

    pub(crate) async fn open_with(tasks: &CriticalTasks) -> Result<Self> {
        let test_database = TestDatabase::create().await?;
        let vars =
            [("DATABASE_URL", test_database.url("orders_write_api")), ("DATABASE_POOL_SIZE", "1".to_owned())];
        let vars = vars.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let database = DatabaseConfig::from_vars(&vars)?.with_settings(BY_KEY_ONLY).open("test")?;
        let budget = Budget::new(1 << 24);
        let limits =
            Limits { write_queue: 16, budget: budget.clone(), write_deadline: Duration::from_secs(5) };
        let writer =
            PgOrderWriter::start(database.clone(), database.clone(), limits, tasks, &Registry::new(&[])?);
        Ok(Self { test_database, database, writer, budget })
    }
}

/// A new order and its event.
pub(crate) fn some_order(now: DateTime<Utc>) -> Result<(Order, OrderEvent)> {
    let line = OrderLine::new(Sku::new("A".to_owned())?, Quantity::new(1)?, Cents::new(1)?)?;
    let customer = CustomerId::new("customer".to_owned())?;
    Ok(Order::place(Uuid::now_v7(), customer, OrderLines::new(vec![line])?, None, now))
}

/// The longest SKU.
fn long_sku() -> String {
    "🫖".repeat(64)
}

/// A new order of the largest size.
pub(crate) fn some_large_order(now: DateTime<Utc>) -> Result<(Order, OrderEvent)> {
    let line = OrderLine::new(Sku::new(long_sku())?, Quantity::new(1)?, Cents::new(1)?)?;
    let lines = OrderLines::new(vec![line; OrderLines::LIMIT])?;
    Ok(Order::place(Uuid::now_v7(), CustomerId::new("customer".to_owned())?, lines, None, now))
}

/// A request for an order of the largest size: about 147 kB.
pub(crate) fn large_order() -> Value {
    let item = json!({"sku": long_sku(), "quantity": 1, "price_cents": 1});
    json!({"customer_id": "large", "items": vec![item; OrderLines::LIMIT]})
}

pub(crate) fn order() -> Value {
    json!({
        "customer_id": "customer-7",
        "items": [
            {"sku": "RED", "quantity": 2, "price_cents": 1_999},
            {"sku": "BLUE", "quantity": 1, "price_cents": 500},
        ],
    })
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The problem document of a response, after checking the rules for all problem documents.
pub(crate) async fn problem(response: Response) -> Result<Value> {
    let status = response.status();
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"), "{status}");
    let retry_after = header(&response, "retry-after").map(str::to_owned);
    assert_eq!(
        retry_after.is_some(),
        status == StatusCode::SERVICE_UNAVAILABLE,
        "503 has Retry-After, other statuses do not"
    );
    let problem: Value = response.json().await?;
    assert_eq!(problem.get("status"), Some(&status.as_u16().into()), "{problem}");
    for field in ["type", "title", "detail"] {
        problem
            .get(field)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .context("an empty field in a problem")?;
    }
    Ok(problem)
}

/// Waits until `count` statements of write-api wait for a lock.
pub(crate) async fn wait_for_blocked(session: &Client, count: i64) -> Result<()> {
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'write-api' AND wait_event_type = 'Lock'";
    wait::until("statements to be blocked", Duration::from_secs(30), || async {
        let found = session.query_one(blocked, &[]).await.map(|row| row.get::<_, i64>(0));
        if matches!(found, Ok(found) if found == count) { Ok(()) } else { Err(found) }
    })
    .await?;
    Ok(())
}

/// Places and pays the standard order.
pub(crate) async fn place_and_pay(url: &str) -> Result<()> {
    let client = reqwest::Client::new();
    let placed = client.post(format!("{url}/orders")).json(&order()).send().await?.error_for_status()?;
    let placed: Value = placed.json().await?;
    let id = placed.get("order_id").and_then(Value::as_str).unwrap_or_default();
    let pay = format!("{url}/orders/{id}/pay");
    client.post(pay).header("content-length", "0").send().await?.error_for_status()?;
    Ok(())
}

/// Waits up to 20 seconds until an order can be placed and paid.
pub(crate) async fn until_placed(url: &str) -> Result<()> {
    wait::until("an order to be placed", Duration::from_secs(20), || async {
        place_and_pay(url).await.map_err(|error| format!("{error:#}"))
    })
    .await?;
    Ok(())
}
