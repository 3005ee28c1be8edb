//! A read-api and a database for one test.

mod events;
pub(crate) mod plans;

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use read_api::Config;
use reqwest::header::HeaderValue;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use testkit::fault_proxy::FaultProxy;
use testkit::readiness;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::events::Events;

/// Time limit for everything that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A running read-api; dropping it stops it.
pub(crate) struct Replica {
    pub(crate) url: String,
    /// The URL of its probes and metrics.
    pub(crate) admin_url: String,
    stop: DropGuard,
}

impl Replica {
    /// Uses the database at `database_url`; `vars` override the variables that all tests share.
    pub(crate) fn start(database_url: &str, vars: &[(&str, &str)]) -> Result<Self> {
        let common = [
            ("DATABASE_URL", database_url),
            ("DATABASE_POOL_WAIT_MS", "500"),
            ("DATABASE_STATEMENT_TIMEOUT_MS", "500"),
            ("CURSOR_KEY", "a secret that all replicas share"),
            ("LIVE_POLL_MS", "10"),
            ("READINESS_GRACE_MS", "1500"),
            // One thread, so that requests one after the other use one connection.
            ("HTTP_WORKERS", "1"),
            ("PORT", "0"),
            ("ADMIN_PORT", "0"),
            ("AUTH", "off"),
            ("API_DOCS", "on"),
            ("SHUTDOWN_DELAY_MS", "0"),
        ];
        // `NAME_FILE` overrides `NAME` too.
        let is_given =
            |name: &str| vars.iter().any(|(other, _)| other.strip_suffix("_FILE").unwrap_or(other) == name);
        let common = common.iter().filter(|(name, _)| !is_given(name));
        let vars = common.chain(vars).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let stop = CancellationToken::new();
        let server = read_api::bind(&Config::from_vars(&vars.collect())?, stop.clone())?;
        let url = format!("http://{}", server.address());
        let admin_url = format!("http://{}", server.admin_address());
        tokio::spawn(server.run());
        Ok(Self { url, admin_url, stop: stop.drop_guard() })
    }

    /// Stops it like SIGTERM does.
    pub(crate) fn stop(self) {
        drop(self.stop);
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response> {
        Ok(reqwest::get(format!("{}{path}", self.url)).await?)
    }

    /// Waits until `/readyz` has this status.
    pub(crate) async fn until_ready_is(&self, expected: StatusCode) -> Result<()> {
        readiness::until_ready_is(&self.admin_url, expected).await
    }

    /// Requests from the listener of the probes and metrics.
    pub(crate) async fn probe(&self, path: &str) -> Result<Response> {
        Ok(reqwest::get(format!("{}{path}", self.admin_url)).await?)
    }

    /// Opens the stream of a customer, and resumes after the event with this id.
    pub(crate) async fn watch(&self, customer: &str, last_event_id: Option<&str>) -> Result<Events> {
        let url = format!("{}/customers/{customer}/orders/stream", self.url);
        let mut request = reqwest::Client::new().get(url);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await?.error_for_status()?;
        Ok(Events::new(response))
    }
}

/// A running read-api and its database.
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

    pub(crate) async fn start_with(vars: &[(&str, &str)]) -> Result<Self> {
        let database = TestDatabase::create().await?;
        let replica = Replica::start(&database.url("orders_read_api"), vars)?;
        Ok(Self { replica, database })
    }

    /// With a connection to the database that the test can cut.
    pub(crate) async fn start_behind_a_proxy() -> Result<(Self, FaultProxy)> {
        let database = TestDatabase::create().await?;
        let (proxy, url) = database.behind_a_proxy("orders_read_api").await?;
        Ok((Self { replica: Replica::start(&url, &[])?, database }, proxy))
    }

    /// Starts another replica on the same database.
    pub(crate) fn start_replica(&self) -> Result<Replica> {
        Replica::start(&self.database.url("orders_read_api"), &[])
    }

    /// Stops the process and keeps the database.
    pub(crate) fn stop(self) -> TestDatabase {
        self.replica.stop();
        self.database
    }

    /// Inserts orders into the read model: number, customer, and minutes after the first order.
    pub(crate) async fn insert(&self, orders: &[(i32, &str, i32)]) -> Result<()> {
        insert(&self.database.connect().await?, orders).await
    }
}

/// Inserts orders into the read model, like [`Api::insert`].
pub(crate) async fn insert(session: &Client, orders: &[(i32, &str, i32)]) -> Result<()> {
    let insert = "INSERT INTO order_summary
        (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version, items)
        SELECT lpad($1::int::text, 32, '0')::uuid, $2, 100 * $1::int, 'placed', placed_at, 2, 'SKU', 1,
               '[{\"sku\":\"A\",\"quantity\":1,\"price_cents\":1},{\"sku\":\"SKU\",\"quantity\":1,\"price_cents\":1}]'
        FROM (SELECT timestamptz '2026-11-23 10:00:00.123456Z' + $3::int * interval '1 minute' AS placed_at) AS t";
    for (number, customer, minutes) in orders {
        session.execute(insert, &[number, customer, minutes]).await?;
    }
    Ok(())
}

/// Inserts many orders of one customer into the read model, in one transaction.
pub(crate) async fn insert_many(session: &Client, customer: &str, numbers: Range<i32>) -> Result<()> {
    let insert = "INSERT INTO order_summary
        (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version)
        SELECT lpad(n::text, 32, '0')::uuid, $1, 100 * n, 'placed',
               timestamptz '2026-11-23 10:00:00.123456Z' + n * interval '1 minute', 2, 'SKU', 1
        FROM generate_series($2::int, $3::int - 1) AS n";
    session.execute(insert, &[&customer, &numbers.start, &numbers.end]).await?;
    Ok(())
}

/// Advances the orders with these numbers to their next version, like the projector does.
pub(crate) async fn change(session: &Client, first: i32, last: i32) -> Result<u64> {
    let change = "UPDATE order_summary
        SET version = version + 1, status = 'paid', paid_at = now(), changed_in = pg_current_xact_id()::text::bigint,
            history = (SELECT current_history())
        WHERE total_cents BETWEEN 100 * $1::int AND 100 * $2::int";
    Ok(session.execute(change, &[&first, &last]).await?)
}

/// The path of the order with this number.
pub(crate) fn order(number: i32) -> String {
    format!("/orders/00000000-0000-0000-0000-{number:012}")
}

/// The numbers of the orders in a list, in its order.
pub(crate) fn numbers(list: &Value) -> Vec<i64> {
    let orders = list.get("orders").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    orders.iter().filter_map(number).collect()
}

fn number(order: &Value) -> Option<i64> {
    Some(order.get("total_cents")?.as_i64()? / 100)
}

/// The problem document in a response, after checks that apply to all of them.
pub(crate) async fn problem(response: Response) -> Result<Value> {
    let status = response.status();
    let content_type = response.headers().get("content-type");
    assert_eq!(content_type, Some(&HeaderValue::from_static("application/problem+json")), "{status}");
    let problem: Value = response.json().await?;
    assert_eq!(problem.get("status"), Some(&status.as_u16().into()), "{problem}");
    Ok(problem)
}
