//! Secrets and personal data appear in no log, no metric, no span and no problem document.

mod endpoints;
mod forms;
mod input;
mod scene;
mod waiting;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use testkit::otlp::{Collector, Mode};
use testkit::postgres::PasswordServer;
use testkit::services::ServiceKind;
use testkit::tokens::TokenIssuer;
use testkit::wait;
use testkit::webhook_receiver::Receiver;

use self::endpoints::{add_endpoint, until_all_has_happened};
use self::scene::Scene;

const LIMIT: Duration = Duration::from_secs(30);

const PASSWORD: &str = "canary-password-91c2";
const CURSOR_KEY: &str = "canary-cursor-key-of-thirty-two-characters";
const CUSTOMER: &str = "canary-customer-5e1f";
const SKU: &str = "CANARY-SKU-77D0";
const KEY: &str = "canary-idempotency-key-3b8a";
const REASON: &str = "canary reason 60af";
const TRACKING: &str = "CANARYTRACKING1204";
const SIGNING: &str = "whsec_Y2FuYXJ5LXNpZ25pbmctc2VjcmV0LTAx";
const URL_KEY: &str = "canary-url-key-d4f2";
const COLLECTOR_KEY: &str = "canary-collector-key-0c5d";
const BAD_TOKEN: &str = "canary.token.ab19";

/// Each of the values, in responses of every kind.
async fn use_everything(scene: &mut Scene, server: &PasswordServer) -> Result<()> {
    let id = change_orders(scene, server).await?;
    refuse_rows(scene, server).await?;
    read_orders(scene, &id).await?;
    input::send(scene, &id).await
}

/// Places, changes and cancels orders, and fails to. The id of the one that is shipped.
async fn change_orders(scene: &mut Scene, server: &PasswordServer) -> Result<String> {
    let id = scene.place(KEY).await?;
    let other = json!({"customer_id": CUSTOMER, "items": [{"sku": SKU, "quantity": 2, "price_cents": 5}]});
    scene.post("/orders", Some(KEY), &other).await?;
    let item = json!({"sku": SKU.repeat(40), "quantity": 0, "price_cents": SKU});
    let invalid = json!({"customer_id": CUSTOMER, "items": [item]});
    scene.post("/orders", Some(KEY), &invalid).await?;
    scene.post("/orders", Some(&KEY.repeat(40)), &other).await?;
    scene.post(&format!("/orders/{id}/pay"), None, &json!({})).await?;
    let held = waiting::hold_projection(server).await?;
    for carrier in ["DHL", "UPS"] {
        let shipment = json!({"carrier": carrier, "tracking_number": TRACKING});
        scene.post(&format!("/orders/{id}/ship"), None, &shipment).await?;
    }
    waiting::read(scene, &id, 3, held).await?;
    scene.post(&format!("/orders/{id}/cancel"), None, &json!({"reason": REASON})).await?;
    let cancelled = scene.place("another key").await?;
    scene.post(&format!("/orders/{cancelled}/cancel"), None, &json!({"reason": REASON.repeat(99)})).await?;
    scene.post(&format!("/orders/{cancelled}/cancel"), None, &json!({"reason": REASON})).await?;
    Ok(id)
}

/// PostgreSQL refuses a row of a command, and one of an event, which is parked.
async fn refuse_rows(scene: &mut Scene, server: &PasswordServer) -> Result<()> {
    let refused = scene.place("a third key").await?;
    server
        .execute("ALTER TABLE orders ADD CONSTRAINT canary CHECK (cancel_reason IS NULL) NOT VALID")
        .await?;
    server
        .execute("ALTER TABLE order_summary ADD CONSTRAINT canary CHECK (total_cents <> 7) NOT VALID")
        .await?;
    scene.post(&format!("/orders/{refused}/cancel"), None, &json!({"reason": REASON})).await?;
    let parked = json!({"customer_id": CUSTOMER, "items": [{"sku": SKU, "quantity": 1, "price_cents": 7}]});
    scene.post("/orders", Some("a fourth key"), &parked).await?;
    Ok(())
}

/// Reads with good and bad tokens, and waits for what is never written.
async fn read_orders(scene: &mut Scene, id: &str) -> Result<()> {
    let token = scene.token.clone();
    let never = scene.request(Method::GET, ServiceKind::ReadApi, &format!("/orders/{id}?min_version=99"))?;
    scene.send(never.header("prefer", "wait=1")).await?;
    for bad in [BAD_TOKEN, &token.replace('.', ".x")] {
        let url = scene.url(ServiceKind::WriteApi, "/orders")?;
        scene.send(scene.client.post(url).bearer_auth(bad).json(&json!({}))).await?;
        scene.read(ServiceKind::ReadApi, &format!("/customers/{CUSTOMER}/orders"), bad).await?;
    }
    let list = format!("/customers/{CUSTOMER}/orders");
    wait::until("the read model", LIMIT, async || {
        let request =
            scene.client.get(scene.url(ServiceKind::ReadApi, &list).map_err(|error| error.to_string())?);
        let response = request.bearer_auth(&token).send().await.map_err(|error| error.to_string())?;
        let text = response.text().await.map_err(|error| error.to_string())?;
        if text.contains("cancelled") && text.contains("shipped") { Ok(()) } else { Err(text) }
    })
    .await?;
    scene.read(ServiceKind::ReadApi, &format!("{list}?limit=1&cursor={SKU}"), &token).await?;
    scene.read(ServiceKind::ReadApi, &format!("{list}?status={KEY}&limit={REASON}"), &token).await?;
    scene.read(ServiceKind::ReadApi, &format!("/orders/{id}"), &token).await?;
    scene.read(ServiceKind::Projector, "/events?limit=1000", &token).await?;
    scene.read(ServiceKind::Projector, &format!("/events?after={SKU}"), &token).await?;
    Ok(())
}

/// A customer's own token: its subject is the customer. It opens a stream, which has one of the orders.
async fn follow_own_orders(scene: &Scene, token: &str) -> Result<()> {
    let url = scene.url(ServiceKind::ReadApi, &format!("/customers/{CUSTOMER}/orders/stream"))?;
    let mut response = scene.client.get(url).bearer_auth(token).send().await?.error_for_status()?;
    let mut text = String::new();
    let read = async {
        while !text.contains("cancelled") {
            let chunk = response.chunk().await?.context("the stream ended")?;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, read).await.context("no order in the stream")?
}

async fn server() -> Result<PasswordServer> {
    let server = PasswordServer::start_without_tls()?;
    server.execute("ALTER SYSTEM SET log_error_verbosity = 'terse'").await?;
    server.execute("SELECT pg_reload_conf()").await?;
    migrate::up(&server.server().superuser_url("postgres")).await?;
    Ok(server)
}

/// Fails for a text that has a canary in any form.
fn search(all: &[(&str, String)], canaries: &[&str]) {
    let mut forms: Vec<_> = canaries.iter().map(|canary| (*canary, forms::of_text(canary))).collect();
    forms.push(("the number", forms::of_number(input::NUMBER)));
    for (place, text) in all {
        for (canary, form) in
            forms.iter().flat_map(|(canary, forms)| forms.iter().map(move |form| (canary, form)))
        {
            // Access lines name the subject of a token.
            let is_own = |line: &str| form == CUSTOMER && line.contains(r#""target":"access""#);
            let line = text.lines().find(|line| line.contains(form) && !is_own(line));
            assert_eq!(line, None, "{canary} is in {place}, as {form}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_personal_data_is_in_a_log_a_metric_a_span_or_a_problem() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let server = server().await?;
    let issuer = TokenIssuer::new(logs.path())?;
    let collector = Collector::start(Mode::Accept).await?;
    let mut scene = Scene::start(&server, &issuer, &collector, logs.path()).await?;
    let receiver = Receiver::start().await?;
    let url = format!("postgres://orders_projector:{PASSWORD}@127.0.0.1:{}/postgres", server.port());
    for path in ["accepted", "refused", "mixed"] {
        add_endpoint(&url, &format!("{}/{path}?key={URL_KEY}", receiver.url()), SIGNING).await?;
    }
    let (token, own_token) = (scene.token.clone(), issuer.token(CUSTOMER, &["orders:read"], Some(CUSTOMER))?);
    use_everything(&mut scene, &server).await?;
    follow_own_orders(&scene, &own_token).await?;
    until_all_has_happened(&server, &receiver).await?;
    ensure!(scene.problems.len() >= 150, "too few problems: {}", scene.problems.len());
    let mut all = scene.collect(logs.path()).await?;
    let spans = format!("{:#?}", collector.spans());
    ensure!(["commit", "project", "webhook"].iter().all(|name| spans.contains(name)), "{spans}");
    all.push(("a span", spans));
    let log = fs::read_to_string(server.server().log())?;
    ensure!(log.contains("violates check constraint"), "PostgreSQL refused no row: {log}");
    all.push(("the log of PostgreSQL", log));

    let signature = |token: &str| token.rsplit('.').next().map(str::to_owned).context("no signature");
    let mut signatures = receiver.signatures();
    ensure!(!signatures.is_empty(), "no message is signed");
    signatures.extend([signature(&token)?, signature(&own_token)?]);
    let mut canaries = vec![PASSWORD, CURSOR_KEY, CUSTOMER, SKU, KEY, REASON, TRACKING, BAD_TOKEN, SIGNING];
    canaries.extend([&SIGNING[6..], COLLECTOR_KEY, "canary-signing-secret-01", URL_KEY, input::TEXT]);
    canaries.extend(signatures.iter().map(String::as_str));
    search(&all, &canaries);
    Ok(())
}
