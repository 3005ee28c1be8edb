//! A line names the order and says how the command ended.

use anyhow::{Context, Result};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{Audited, request_id};
use crate::support::{order, wait_for_blocked};

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    if let Some(body) = body.as_object_mut() {
        body.insert(field.to_owned(), value.into());
    }
    body
}

/// Sends the command and checks its line.
async fn check(api: &Audited, request: RequestBuilder, expected: [&str; 3]) -> Result<()> {
    let response = request.send().await?;
    let [step, outcome, order_id] = expected;
    let status = response.status();
    let line = api.line_of(&request_id(&response)).await?;
    let found = ["step", "outcome", "order.id", "level", "message"]
        .map(|field| line.get(field).and_then(Value::as_str).unwrap_or("-"));
    assert_eq!(found, [step, outcome, order_id, "INFO", "command"], "{status}: {line}");
    Ok(())
}

#[tokio::test]
async fn each_order_has_a_line_whatever_became_of_it() -> Result<()> {
    // The filter of an operator who wants no log.
    let api = Audited::start(&[("RUST_LOG", "off,audit=off")]).await?;
    let id = Uuid::new_v4().to_string();
    let mine = with(order(), "order_id", id.as_str());
    let place = || api.post("/orders");
    let json_text = |text: &'static str| place().header("content-type", "application/json").body(text);
    check(&api, place().json(&mine), ["place", "done", &id]).await?;
    check(&api, place().json(&mine), ["place", "replayed", &id]).await?;
    let other = with(mine.clone(), "customer_id", "another");
    check(&api, place().json(&other), ["place", "order-id-taken", &id]).await?;
    let empty = with(mine.clone(), "items", json!([]));
    check(&api, place().json(&empty), ["place", "invalid-body", &id]).await?;
    let two = place().json(&mine).header("idempotency-key", "a");
    check(&api, two, ["place", "two-identities", &id]).await?;
    check(&api, place().body("{}"), ["place", "unsupported-media-type", "-"]).await?;
    check(&api, json_text("{"), ["place", "malformed-body", "-"]).await?;
    let large = place().header("content-type", "application/json").body(" ".repeat(1_048_577));
    check(&api, large, ["place", "body-too-large", "-"]).await?;
    assert_eq!(api.lines()?.len(), 8);

    let response = place().json(&order()).send().await?;
    let line = api.line_of(&request_id(&response)).await?;
    let placed: Value = response.json().await?;
    assert_eq!((&line["order.id"], &line["outcome"]), (&placed["order_id"], &json!("done")), "{line}");
    Ok(())
}

#[tokio::test]
async fn each_step_has_a_line_whatever_became_of_it() -> Result<()> {
    let api = Audited::start(&[]).await?;
    let placed: Value = api.post("/orders").json(&order()).send().await?.json().await?;
    let id = placed["order_id"].as_str().context("no order_id")?;
    let step = |step: &str| api.post(&format!("/orders/{id}/{step}")).header("content-length", "0");
    check(&api, step("pay"), ["pay", "done", id]).await?;
    check(&api, step("pay"), ["pay", "replayed", id]).await?;
    check(&api, step("cancel").header("if-match", "\"1\""), ["cancel", "version-mismatch", id]).await?;
    check(&api, step("ship"), ["ship", "done", id]).await?;
    check(&api, step("cancel"), ["cancel", "step-forbidden", id]).await?;
    // A path may write the id in another way; the log has one.
    let other_form = api.post(&format!("/orders/{}/deliver", id.to_uppercase()));
    check(&api, other_form.header("content-length", "0"), ["deliver", "done", id]).await?;
    let unknown = Uuid::new_v4().to_string();
    check(&api, api.post(&format!("/orders/{unknown}/pay")), ["pay", "no-such-order", &unknown]).await?;
    check(&api, api.post("/orders/none/pay"), ["pay", "invalid-parameter", "-"]).await?;
    let strange = step("pay").header("x-request-id", r#"a"b\c{}"#);
    check(&api, strange, ["pay", "replayed", id]).await?;
    assert!(api.lines()?.iter().any(|line| line["request.id"] == r#"a"b\c{}"#));

    let before = api.lines()?.len();
    api.client.get(format!("{}/orders/{id}/pay", api.service.url())).send().await?;
    check(&api, step("pay"), ["pay", "replayed", id]).await?;
    assert_eq!(api.lines()?.len(), before + 1, "GET is no command");
    Ok(())
}

/// How a client leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Closes,
    Resets,
}

/// A client pays an order, and leaves while its command runs.
async fn check_command_of_a_client_that(leaves: Leaving) -> Result<()> {
    let api = Audited::start(&[]).await?;
    let placed: Value = api.post("/orders").json(&order()).send().await?.json().await?;
    let id = placed.get("order_id").and_then(Value::as_str).context("no order_id")?;
    let mut session = api.database.connect().await?;
    let watcher = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let mut client = TcpStream::connect(api.service.url().trim_start_matches("http://")).await?;
    let request = format!("POST /orders/{id}/pay HTTP/1.1\r\nhost: localhost\r\nx-request-id: gone\r\n");
    client.write_all(format!("{request}content-length: 0\r\n\r\n").as_bytes()).await?;
    wait_for_blocked(&watcher, 1).await?;
    if leaves == Leaving::Resets {
        client.set_zero_linger()?;
    }
    drop(client);
    // Its end arrives in order after what came before on this machine: a later connection is served after it.
    api.client.get(format!("{}/openapi.json", api.service.url())).send().await?.error_for_status()?;
    lock.rollback().await?;
    let line = api.line_of("gone").await?;
    let found = ["order.id", "outcome"].map(|field| line.get(field).and_then(Value::as_str));
    assert_eq!(found, [Some(id), Some("done")], "{line}");
    let status: String = watcher.query_one("SELECT status FROM orders", &[]).await?.get(0);
    assert_eq!(status, "paid");
    Ok(())
}

#[tokio::test]
async fn a_command_whose_client_has_left_has_a_line_with_its_outcome() -> Result<()> {
    check_command_of_a_client_that(Leaving::Closes).await?;
    check_command_of_a_client_that(Leaving::Resets).await
}
