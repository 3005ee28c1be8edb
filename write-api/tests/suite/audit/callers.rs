//! A line names the caller, also one who was refused.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use testkit::tokens::{Role, TokenIssuer};
use testkit::wait;
use uuid::Uuid;

use super::{Audited, request_id};
use crate::support::order;

/// Who sent a command, as its line names them.
fn caller(line: &Value) -> [&str; 3] {
    ["subject", "scope", "customer"].map(|field| line[field].as_str().unwrap_or("-"))
}

const SOON: Duration = Duration::from_secs(30);

struct Guarded {
    api: Audited,
    issuer: TokenIssuer,
    _key_set: tempfile::TempDir,
}

impl Guarded {
    async fn start() -> Result<Self> {
        let key_set = tempfile::tempdir()?;
        let issuer = TokenIssuer::new(key_set.path())?;
        let vars = issuer.variables();
        let vars: Vec<_> = vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(Self { api: Audited::start(&vars).await?, issuer, _key_set: key_set })
    }

    /// The status of the response, and the line.
    async fn send(&self, path: &str, token: Option<&str>, body: Option<&Value>) -> Result<(u16, Value)> {
        let mut request = self.api.post(path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let request = match body {
            Some(body) => request.json(body),
            None => request.header("content-length", "0"),
        };
        let response = request.send().await?;
        let line = self.api.line_of(&request_id(&response)).await?;
        Ok((response.status().as_u16(), line))
    }
}

#[tokio::test]
async fn a_line_has_subject_scope_and_customer_of_the_token() -> Result<()> {
    let guarded = Guarded::start().await?;
    let token = |role| guarded.issuer.token_of(role);
    let (status, line) = guarded.send("/orders", Some(&token(Role::Checkout)?), Some(&order())).await?;
    assert_eq!((status, caller(&line)), (201, ["checkout", "orders:place", "-"]), "{line}");
    let id = line["order.id"].as_str().context("no order.id")?;
    let cancel = format!("/orders/{id}/cancel");
    let (status, line) = guarded.send(&cancel, Some(&token(Role::Customer("customer-7"))?), None).await?;
    assert_eq!((status, caller(&line)), (200, ["customer-7", "orders:cancel", "customer-7"]), "{line}");
    let (status, line) = guarded.send(&cancel, Some(&token(Role::Support)?), None).await?;
    assert_eq!((status, caller(&line)), (200, ["support", "orders:cancel:any", "-"]), "{line}");
    assert_eq!(line["outcome"], "replayed");
    let (status, line) = guarded.send(&cancel, Some(&token(Role::Customer("eve"))?), None).await?;
    assert_eq!((status, caller(&line)), (404, ["eve", "orders:cancel", "eve"]), "{line}");
    assert_eq!((&line["outcome"], &line["order.id"]), (&json!("no-such-order"), &json!(id)));
    let token = guarded.issuer.token("al\u{202e}ice", &["orders:cancel"], Some("customer\u{200b}"))?;
    let (status, line) = guarded.send(&cancel, Some(&token), None).await?;
    let shown = [r"al\u{202e}ice", "orders:cancel", r"customer\u{200b}"];
    assert_eq!((status, caller(&line)), (404, shown), "{line}");
    let log = std::fs::read_to_string(&guarded.api.log)?;
    let about_it: Vec<&str> =
        log.lines().filter(|line| line.contains(id) && line.contains("cancel")).collect();
    assert_eq!(about_it.len(), 4, "who cancelled it: {about_it:#?}");
    Ok(())
}

#[tokio::test]
async fn callers_without_the_right_have_a_line_for_every_kind_of_command() -> Result<()> {
    let guarded = Guarded::start().await?;
    let customer = guarded.issuer.token_of(Role::Customer("eve"))?;
    let events = guarded.issuer.token_of(Role::Events)?;
    let unknown = Uuid::new_v4().to_string();
    for step in ["place", "pay", "ship", "deliver", "cancel"] {
        let path = if step == "place" { "/orders".to_owned() } else { format!("/orders/{unknown}/{step}") };
        let order_id = if step == "place" { Value::Null } else { json!(unknown) };
        let mut refused = vec![(&events, ["events", "-", "-"])];
        if step != "cancel" {
            refused.push((&customer, ["eve", "-", "eve"]));
        }
        for (token, named) in refused {
            let line = wait::until("a line", SOON, async || {
                send_each(&guarded, &path, &[Some(token)], 403).await.map_err(|error| error.to_string())?;
                let lines = guarded.api.lines().map_err(|error| error.to_string())?;
                let mut lines = lines.into_iter();
                lines
                    .find(|line| line["step"] == step && caller(line) == named)
                    .ok_or_else(|| step.to_owned())
            });
            let line = line.await?;
            let found = (&line["outcome"], &line["order.id"]);
            assert_eq!(found, (&json!("insufficient-scope"), &order_id), "{step}: {line}");
            assert!(!line.to_string().contains(token), "{line}");
        }
    }
    Ok(())
}

/// Sends a command with each of these tokens.
async fn send_each(guarded: &Guarded, path: &str, tokens: &[Option<&str>], status: u16) -> Result<()> {
    for token in tokens {
        let request = guarded.api.post(path).header("content-length", "0");
        let request = token.iter().fold(request, RequestBuilder::bearer_auth);
        assert_eq!(request.send().await?.status(), status);
    }
    Ok(())
}

/// Commands with these tokens have one line a second, which counts them. Returns the lines.
async fn check_one_line_a_second(
    guarded: &Guarded,
    tokens: &[Option<&str>],
    status: u16,
) -> Result<Vec<Value>> {
    let start = Instant::now();
    let commands = Cell::new(0);
    let send = async || {
        commands.set(commands.get() + u64::try_from(tokens.len())?);
        send_each(guarded, &format!("/orders/{}/pay", Uuid::new_v4()), tokens, status).await
    };
    for _ in 0..50 {
        send().await?;
    }
    let counted = |lines: &[Value]| lines.iter().filter_map(|line| line["times"].as_u64()).sum::<u64>();
    // On a slow machine the second line comes before the fiftieth command.
    wait::until("a second line, and all commands counted", SOON, async || {
        send().await.map_err(|error| error.to_string())?;
        let lines = guarded.api.lines().map_err(|error| error.to_string())?;
        if lines.len() >= 2 && counted(&lines) >= 50 { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await?;
    let lines = guarded.api.lines()?;
    assert!(lines.len() <= usize::try_from(start.elapsed().as_secs())? + 1, "{lines:#?}");
    let times = counted(&lines);
    assert!(times <= commands.get(), "{times} of {commands:?}");
    Ok(lines)
}

#[tokio::test]
async fn commands_without_a_valid_token_have_one_line_a_second_that_counts_them() -> Result<()> {
    let guarded = Guarded::start().await?;
    let lines = check_one_line_a_second(&guarded, &[None, Some("nonsense")], 401).await?;
    assert!(lines.iter().all(|line| line["outcome"] == "unauthenticated" && caller(line) == ["-"; 3]));
    Ok(())
}

#[tokio::test]
async fn commands_that_a_token_does_not_allow_have_one_line_a_second_that_counts_them() -> Result<()> {
    let guarded = Guarded::start().await?;
    let token = guarded.issuer.token_of(Role::Customer("eve"))?;
    let lines = check_one_line_a_second(&guarded, &[Some(&token)], 403).await?;
    let is_eve = |line: &Value| caller(line) == ["eve", "-", "eve"];
    assert!(lines.iter().all(|line| line["outcome"] == "insufficient-scope" && is_eve(line)), "{lines:#?}");
    Ok(())
}
