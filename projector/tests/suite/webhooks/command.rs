//! `projector webhooks`: what an operator can do.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::receiver::{OK, Reaction, Receiver};
use super::support::{Running, config, count, until_count};
use crate::support::{Scene, event};

const PROGRAM: &str = env!("CARGO_BIN_EXE_projector");
const ALLOW_PRIVATE: (&str, &str) = ("WEBHOOK_ALLOW_PRIVATE", "true");

async fn run_with(scene: &Scene, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(PROGRAM);
    command.arg("webhooks").args(arguments).stdin(Stdio::null());
    command.env_clear().env("DATABASE_URL", scene.database.url("orders_projector"));
    command.envs(variables.iter().copied());
    // A receiver of the test runs on this thread.
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

async fn run(scene: &Scene, arguments: &[&str]) -> Result<Output> {
    run_with(scene, arguments, &[ALLOW_PRIVATE]).await
}

async fn stdout(scene: &Scene, arguments: &[&str]) -> Result<String> {
    let output = run(scene, arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

async fn json_output(scene: &Scene, arguments: &[&str]) -> Result<Value> {
    let output = stdout(scene, arguments).await?;
    serde_json::from_str(&output).with_context(|| output)
}

async fn refusal(scene: &Scene, arguments: &[&str], variables: &[(&str, &str)]) -> Result<String> {
    let output = run_with(scene, arguments, variables).await?;
    ensure!(!output.status.success(), "{arguments:?} was accepted");
    Ok(String::from_utf8(output.stderr)?)
}

#[tokio::test]
async fn an_endpoint_is_added_listed_shown_paused_resumed_and_removed() -> Result<()> {
    let scene = Scene::create().await?;
    let url = "https://hooks.example/orders?key=1";
    let added = json_output(&scene, &["add", "--url", url, "--kind", "order_paid", "--json"]).await?;
    assert_eq!(added["id"], 1);
    let secret = added["secret"].as_str().context("no secret")?;
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");

    let line = stdout(&scene, &["list"]).await?;
    assert_eq!(line, format!("1  {url}  active; waiting 0, parked 0; order_paid\n"));
    let listed = json_output(&scene, &["list", "--json"]).await?;
    assert_eq!((&listed[0]["url"], &listed[0]["kinds"]), (&json!(url), &json!(["order_paid"])));
    let shown = stdout(&scene, &["show", "1", "--json"]).await?;
    assert!(!shown.contains(secret) && !line.contains(secret), "it is shown once");

    assert_eq!(stdout(&scene, &["pause", "1"]).await?, "1 paused; events wait for it\n");
    assert!(stdout(&scene, &["list"]).await?.contains("paused (operator)"));
    assert_eq!(stdout(&scene, &["resume", "1"]).await?, "1 resumed\n");
    assert_eq!(json_output(&scene, &["remove", "1", "--json"]).await?, json!({"id": 1}));
    assert_eq!(stdout(&scene, &["list"]).await?, "there is no webhook endpoint\n");
    assert_eq!(count(&scene, "subscriptions").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_bad_option_or_an_unknown_endpoint_is_named() -> Result<()> {
    let scene = Scene::create().await?;
    let long = format!("https://hooks.example/{}", "x".repeat(2_100));
    for (url, expected) in [
        ("http://hooks.example/", "--url must begin with https://"),
        ("https://127.0.0.1/", "--url must not lead to 127.0.0.1"),
        ("https://u:p@hooks.example/", "--url must not contain a user name or a password"),
        ("https://hooks.example/#a", "--url must not contain a fragment"),
        (&long, "--url has 2122 bytes; at most 2048 are allowed"),
        ("nonsense", "--url is not a URL"),
    ] {
        let error = refusal(&scene, &["add", "--url", url], &[]).await?;
        assert!(error.contains(expected), "{url}: {error}");
    }
    let add = ["add", "--url", "https://hooks.example/", "--kind", "order_lost"];
    let error = refusal(&scene, &add, &[]).await?;
    assert!(error.contains("--kind is not a kind of event; there are order_placed"), "{error}");
    for command in ["show", "pause", "resume", "test", "rotate-secret", "remove"] {
        let error = refusal(&scene, &[command, "7"], &[]).await?;
        assert!(error.contains("there is no webhook endpoint 7"), "{command}: {error}");
    }
    let error = refusal(&scene, &["list"], &[("WEBHOOK_PARALLEL", "0")]).await?;
    assert!(error.contains("WEBHOOK_PARALLEL must be between 1 and 100, not 0"), "{error}");
    assert_eq!(count(&scene, "webhook_endpoints").await?, 0);
    Ok(())
}

#[tokio::test]
async fn more_than_a_hundred_endpoints_are_refused_and_a_slot_becomes_free_again() -> Result<()> {
    let scene = Scene::create().await?;
    let fill = "INSERT INTO webhook_endpoints (slot, url, kinds)
                SELECT slot, 'https://hooks.example/', '{}' FROM generate_series(1, 100) AS slot";
    scene.session.batch_execute(fill).await?;
    let add = ["add", "--url", "https://hooks.example/"];
    let error = refusal(&scene, &add, &[]).await?;
    assert!(error.contains("there are 100 endpoints, which is the limit: remove one first"), "{error}");
    stdout(&scene, &["remove", "40"]).await?;
    assert!(stdout(&scene, &add).await?.starts_with("10"), "a new id");
    let slot = "SELECT slot FROM webhook_endpoints ORDER BY id DESC LIMIT 1";
    assert_eq!(scene.session.query_one(slot, &[]).await?.get::<_, i16>(0), 40);
    Ok(())
}

#[tokio::test]
async fn without_an_event_log_there_is_nothing_to_send() -> Result<()> {
    let scene = Scene::create().await?;
    scene
        .session
        .batch_execute("UPDATE event_log_state SET retention_days = 0, missing_up_to = 9223372036854775807")
        .await?;
    let error = refusal(&scene, &["add", "--url", "https://hooks.example/"], &[]).await?;
    assert!(error.contains("events are not logged"), "{error}");
    assert_eq!(count(&scene, "webhook_endpoints").await?, 0);
    Ok(())
}

#[tokio::test]
async fn test_sends_a_signed_message_and_reports_status_and_latency() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start()?;
    let added = json_output(&scene, &["add", "--url", &receiver.url(), "--json"]).await?;
    let secret = added["secret"].as_str().context("no secret")?;
    assert!(stdout(&scene, &["test", "1"]).await?.starts_with("1 responded with status 200 after "));
    let report = json_output(&scene, &["test", "1", "--json"]).await?;
    let messages = receiver.received();
    let message = messages.last().context("no message")?;
    message.verify(secret)?;
    assert_eq!((message.kind(), &report["webhook_id"]), ("webhook.test", &json!(message.id())));
    assert_eq!((&report["status"], report["latency_ms"].is_u64()), (&json!(200), true));

    receiver.react(|_| Reaction::Status(503));
    let error = refusal(&scene, &["test", "1"], &[ALLOW_PRIVATE]).await?;
    assert!(error.contains("status 503"), "{error}");
    let error = refusal(&scene, &["test", "1"], &[]).await?;
    assert!(error.contains("WEBHOOK_ALLOW_PRIVATE=true"), "{error}");
    Ok(())
}

#[tokio::test]
async fn after_a_rotation_both_secrets_verify_and_later_only_the_new_one() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| OK)?;
    let running = Running::start(&config(&scene)?)?;
    let added = json_output(&scene, &["add", "--url", &receiver.url(), "--json"]).await?;
    let rotated = json_output(&scene, &["rotate-secret", "1", "--json"]).await?;
    let (old, new) = (added["secret"].as_str().context("old")?, rotated["secret"].as_str().context("new")?);
    assert_ne!(old, new);
    // The running projector learns of it: `test` alone would prove nothing about that.
    testkit::wait::until("a message with both", super::support::LIMIT, async || {
        scene.emit([event(u128::from(uuid::Uuid::new_v4().as_u64_pair().0), 1)]).await?;
        let messages = receiver.received();
        let message = messages.last().context("no message")?;
        message.verify(old)?;
        message.verify(new)
    })
    .await?;
    stdout(&scene, &["rotate-secret", "1", "--keep-previous-hours", "0"]).await?;
    stdout(&scene, &["test", "1"]).await?;
    let messages = receiver.received();
    let message = messages.last().context("no message")?;
    assert!(message.verify(old).is_err() && message.verify(new).is_err());
    until_count(&scene, "webhook_secrets WHERE expires_at IS NULL", 1).await?;
    running.stop().await
}
