//! A read-api of one test's own, on a database of its own.

use anyhow::Result;
use local::fault_proxy::FaultProxy;
use local::test_database::TestDatabase;
use read_api::Config;
use reqwest::Response;
use reqwest::header::HeaderValue;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running read-api; it stops with this value.
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) database: TestDatabase,
    _stop: DropGuard,
}

impl Api {
    pub(crate) async fn start() -> Result<Self> {
        let database = TestDatabase::create().await?;
        let url = database.url("orders_read_api");
        Self::start_on(database, &url)
    }

    /// On a wire that the test can cut.
    pub(crate) async fn start_behind_a_proxy() -> Result<(Self, FaultProxy)> {
        let database = TestDatabase::create().await?;
        let (proxy, url) = database.behind_a_proxy("orders_read_api").await?;
        Ok((Self::start_on(database, &url)?, proxy))
    }

    fn start_on(database: TestDatabase, database_url: &str) -> Result<Self> {
        let vars = [
            ("DATABASE_URL", database_url),
            ("DATABASE_POOL_WAIT_MS", "500"),
            ("DATABASE_STATEMENT_TIMEOUT_MS", "500"),
            ("CURSOR_KEY", "a secret that all replicas have in common"),
            // One thread, and so one connection where one request comes after the other.
            ("HTTP_WORKERS", "1"),
            ("PORT", "0"),
        ];
        let config =
            Config::from_vars(&vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())?;
        let stop = CancellationToken::new();
        let server = read_api::bind(&config, stop.clone())?;
        let url = format!("http://{}", server.address());
        tokio::spawn(server.run());
        Ok(Self { url, database, _stop: stop.drop_guard() })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response> {
        Ok(reqwest::get(format!("{}{path}", self.url)).await?)
    }

    /// Puts orders into the read model: number, customer, and minutes after the first.
    pub(crate) async fn insert(&self, orders: &[(i32, &str, i32)]) -> Result<()> {
        let insert = "INSERT INTO order_summary
            (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version)
            SELECT lpad($1::int::text, 32, '0')::uuid, $2, 100 * $1::int, 'placed',
                   timestamptz '2026-11-23 10:00:00.123456Z' + $3::int * interval '1 minute', 2, 'SKU', 1";
        let session = self.database.connect().await?;
        for (number, customer, minutes) in orders {
            session.execute(insert, &[number, customer, minutes]).await?;
        }
        Ok(())
    }
}

/// The numbers of the orders in a list, in its order.
pub(crate) fn numbers(list: &Value) -> Vec<i64> {
    let orders = list.get("orders").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    orders.iter().filter_map(|order| Some(order.get("total_cents")?.as_i64()? / 100)).collect()
}

/// The problem document of an answer, after checking what all of them have in common.
pub(crate) async fn problem(response: Response) -> Result<Value> {
    let status = response.status();
    let content_type = response.headers().get("content-type");
    assert_eq!(content_type, Some(&HeaderValue::from_static("application/problem+json")), "{status}");
    let problem: Value = response.json().await?;
    assert_eq!(problem.get("status"), Some(&status.as_u16().into()), "{problem}");
    Ok(problem)
}
