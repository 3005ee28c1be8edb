//! Another customer's order gets the same responses as one that does not exist, after the same statements.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::statement_log::StatementLog;
use testkit::tokens::{Role, TokenIssuer};
use uuid::Uuid;

use crate::support::{Replica, order};

/// A write-api that demands tokens, on a server that logs its statements.
struct Shop {
    api: Replica,
    issuer: TokenIssuer,
    log: StatementLog,
    _key_set: TempDir,
    _server: PrivateServer,
}

/// What a client sees of a response, but for `Date` and the request's id.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    async fn of(response: Response) -> Result<Self> {
        let status = response.status();
        let headers =
            response.headers().iter().map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())));
        let mut headers = headers.collect::<Result<Vec<_>>>()?;
        headers.retain(|(name, _)| name != "date" && name != "x-request-id");
        let id = response.headers().get("x-request-id").context("no id")?.to_str()?.to_owned();
        Ok(Self { status, headers, body: response.text().await?.replace(&id, "") })
    }
}

impl Shop {
    async fn open() -> Result<Self> {
        let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
        migrate::up(&server.superuser_url("postgres")).await?;
        let log = StatementLog::start(&server, "orders_write_api").await?;
        let key_set = tempfile::tempdir()?;
        let issuer = TokenIssuer::new(key_set.path())?;
        let vars = issuer.variables_without_shares();
        let vars: Vec<_> = vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let api = Replica::start(&server.url("orders_write_api", "postgres"), &vars)?;
        api.until_ready_is(StatusCode::OK).await?;
        Ok(Self { api, issuer, log, _key_set: key_set, _server: server })
    }

    fn post(&self, path: &str, role: Role<'_>) -> Result<RequestBuilder> {
        let url = format!("{}{path}", self.api.url);
        Ok(self.api.client.post(url).bearer_auth(self.issuer.token_of(role)?))
    }

    /// An order of customer-7 that has taken these steps.
    async fn order_after(&self, steps: &[&str]) -> Result<String> {
        let placed = self.post("/orders", Role::Checkout)?.json(&order()).send().await?.error_for_status()?;
        let placed: Value = placed.json().await?;
        let id = placed.get("order_id").and_then(Value::as_str).context("no order_id")?.to_owned();
        for step in steps {
            let role = match *step {
                "pay" => Role::Payment,
                "cancel" => Role::Support,
                _ => Role::Warehouse,
            };
            let request = self.post(&format!("/orders/{id}/{step}"), role)?.header("content-length", "0");
            request.send().await?.error_for_status()?;
        }
        Ok(id)
    }

    /// How this customer's request to cancel ends, and the statements that it has run.
    async fn cancel(&mut self, customer: &str, id: &str, attempt: &Attempt) -> Result<(Seen, Vec<String>)> {
        self.log.take()?;
        let mut request = self.post(&format!("/orders/{id}/cancel"), Role::Customer(customer))?;
        if let Some(condition) = &attempt.if_match {
            request = request.header("if-match", condition);
        }
        request = match attempt.body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request.header("content-length", "0"),
        };
        let seen = Seen::of(request.send().await?).await?;
        let mut statements = self.log.take()?;
        statements.retain(|statement| statement.starts_with("-- ") && statement != "-- catalog");
        Ok((seen, statements))
    }
}

struct Attempt {
    if_match: Option<String>,
    body: Option<&'static str>,
}

const STATUSES: [(&str, &[&str]); 5] = [
    ("placed", &[]),
    ("paid", &["pay"]),
    ("shipped", &["pay", "ship"]),
    ("delivered", &["pay", "ship", "deliver"]),
    ("cancelled", &["cancel"]),
];

#[tokio::test]
async fn another_customers_order_looks_like_one_that_does_not_exist() -> Result<()> {
    let mut shop = Shop::open().await?;
    for (status, steps) in STATUSES {
        let theirs = shop.order_after(steps).await?;
        let version = steps.len() + 1;
        let conditions = [
            None,
            Some(format!("\"{version}\"")),
            Some("\"77\"".to_owned()),
            Some(format!("W/\"{version}\"")),
            Some("*".to_owned()),
            Some("nonsense".to_owned()),
        ];
        for if_match in conditions {
            for (body, expected) in [
                (None, 404),
                (Some(r#"{"reason": "too late"}"#), 404),
                (Some(r#"{"reason": ""}"#), 422),
                (Some("{"), 400),
            ] {
                let attempt = Attempt { if_match: if_match.clone(), body };
                let found = shop.cancel("eve", &theirs, &attempt).await?;
                let missing = shop.cancel("eve", &Uuid::now_v7().to_string(), &attempt).await?;
                assert_eq!(found, missing, "{status}, {if_match:?}, {body:?}");
                assert_eq!(found.0.status.as_u16(), expected, "{status}, {if_match:?}, {body:?}");
                let find: &[&str] = if expected == 404 { &["-- find"] } else { &[] };
                assert_eq!(found.1, find, "{status}, {if_match:?}, {body:?}");
            }
        }
        let unchanged = Attempt { if_match: Some(format!("\"{version}\"")), body: None };
        let (seen, _) = shop.cancel("customer-7", &theirs, &unchanged).await?;
        let expected = if steps.contains(&"ship") { 409 } else { 200 };
        assert_eq!(seen.status.as_u16(), expected, "{status}: {seen:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_customer_cancels_an_own_order_as_staff_would() -> Result<()> {
    let mut shop = Shop::open().await?;
    let mine = shop.order_after(&[]).await?;
    let attempt = |if_match: &str| Attempt { if_match: Some(if_match.to_owned()), body: None };
    let (stale, _) = shop.cancel("customer-7", &mine, &attempt("\"7\"")).await?;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{stale:?}");
    let (done, statements) = shop.cancel("customer-7", &mine, &attempt("\"1\"")).await?;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    assert_eq!(statements, ["-- find", "-- save_batch"]);
    assert_eq!(serde_json::from_str::<Value>(&done.body)?["status"], json!("cancelled"));
    // A token whose claim cannot be a customer's id owns nothing.
    for claim in ["", "a\u{0}b", &"x".repeat(129)] {
        let token = shop.issuer.token("somebody", &["orders:cancel"], Some(claim))?;
        let url = format!("{}/orders/{mine}/cancel", shop.api.url);
        let response =
            shop.api.client.post(url).bearer_auth(token).header("content-length", "0").send().await?;
        assert!(response.status().is_client_error(), "{claim:?}: {}", response.status());
    }
    Ok(())
}

/// The times are printed and not compared: they depend on what else the machine does.
#[tokio::test]
async fn the_median_response_times_are_reported() -> Result<()> {
    let shop = Shop::open().await?;
    let theirs = shop.order_after(&[]).await?;
    let token = shop.issuer.token_of(Role::Customer("eve"))?;
    let mut times = [Vec::new(), Vec::new()];
    // By turns, so that both meet the same load.
    for _ in 0..300 {
        let missing = Uuid::now_v7().to_string();
        for (times, id) in times.iter_mut().zip([&theirs, &missing]) {
            let request = shop.api.client.post(format!("{}/orders/{id}/cancel", shop.api.url));
            let start = Instant::now();
            let response = request.bearer_auth(&token).header("content-length", "0").send().await?;
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
            response.bytes().await?;
            times.push(start.elapsed().as_micros());
        }
    }
    let [others, missing] = times.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    });
    writeln!(
        std::io::stderr(),
        "median of 300 cancels: another customer's order {others} µs, a missing order {missing} µs"
    )?;
    Ok(())
}
