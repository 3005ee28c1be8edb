//! A write-api of one test's own, on a database of its own.

use anyhow::{Context, Result};
use local::test_database::TestDatabase;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use write_api::Config;

/// A running write-api; it stops with this value.
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) database: TestDatabase,
    pub(crate) client: reqwest::Client,
    _stop: DropGuard,
}

impl Api {
    pub(crate) async fn start() -> Result<Self> {
        let database = TestDatabase::create().await?;
        let stop = CancellationToken::new();
        let server = write_api::bind(&config(&database)?, stop.clone())?;
        let url = format!("http://{}", server.address());
        tokio::spawn(server.run());
        Ok(Self {
            url,
            database,
            client: reqwest::Client::new(),
            _stop: stop.drop_guard(),
        })
    }

    pub(crate) async fn place(&self, body: &Value) -> Result<Response> {
        Ok(self
            .client
            .post(format!("{}/orders", self.url))
            .json(body)
            .send()
            .await?)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response> {
        Ok(self.client.get(format!("{}{path}", self.url)).send().await?)
    }

    /// How many orders and how many events are stored.
    pub(crate) async fn stored(&self) -> Result<(i64, i64)> {
        let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)";
        let row = self.database.connect().await?.query_one(counts, &[]).await?;
        Ok((row.get(0), row.get(1)))
    }
}

pub(crate) fn config(database: &TestDatabase) -> Result<Config> {
    let vars = [
        ("DATABASE_URL", database.url("orders_write_api")),
        ("DATABASE_POOL_WAIT_MS", "500".to_owned()),
        ("PORT", "0".to_owned()),
    ];
    Ok(Config::from_vars(
        &vars.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    )?)
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

/// The problem document of an answer, after checking what all of them have in common.
pub(crate) async fn problem(response: Response) -> Result<Value> {
    let status = response.status();
    assert_eq!(
        header(&response, "content-type"),
        Some("application/problem+json"),
        "{status}"
    );
    let retry_after = header(&response, "retry-after").map(str::to_owned);
    assert_eq!(
        retry_after.is_some(),
        status == StatusCode::SERVICE_UNAVAILABLE,
        "Retry-After goes with 503"
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
