//! Secrets and personal data appear in no log, no metric, no span and no problem document.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::otlp::{Collector, Mode};
use testkit::postgres::PasswordServer;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::tokens::TokenIssuer;
use testkit::wait;

use super::canary_receiver::{Receiver, add_endpoint, until_all_has_happened};

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

/// The services, and the problem documents of their responses.
struct Scene {
    services: Vec<Service>,
    client: Client,
    token: String,
    problems: Vec<String>,
}

impl Scene {
    fn url(&self, kind: ServiceKind, path: &str) -> Result<String> {
        let service = self.services.iter().find(|service| service.kind() == kind).context("not started")?;
        Ok(format!("{}{path}", service.url()))
    }

    async fn send(&mut self, request: RequestBuilder) -> Result<Value> {
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if status.is_success() {
            return Ok(serde_json::from_str(&text).unwrap_or_default());
        }
        self.problems.push(text);
        Ok(Value::Null)
    }

    async fn post(&mut self, path: &str, key: Option<&str>, body: &Value) -> Result<Value> {
        let url = self.url(ServiceKind::WriteApi, path)?;
        let request = self.client.request(Method::POST, url).bearer_auth(&self.token).json(body);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        self.send(request).await
    }

    async fn read(&mut self, kind: ServiceKind, path: &str, token: &str) -> Result<Value> {
        let request = self.client.get(self.url(kind, path)?).bearer_auth(token);
        self.send(request).await
    }

    async fn place(&mut self, key: &str) -> Result<String> {
        let body = json!({"customer_id": CUSTOMER, "items": [{"sku": SKU, "quantity": 1, "price_cents": 5}]});
        let placed = self.post("/orders", Some(key), &body).await?;
        Ok(placed.pointer("/order_id").and_then(Value::as_str).context("no order")?.to_owned())
    }
}

async fn start(
    server: &PasswordServer,
    issuer: &TokenIssuer,
    collector: &Collector,
    logs: &std::path::Path,
) -> Result<Vec<Service>> {
    let binaries = ServiceBinaries::built().await?;
    let header = format!("authorization={COLLECTOR_KEY}");
    let mut services = Vec::new();
    for kind in ServiceKind::ALL {
        let role = kind.role();
        server.execute(&format!("ALTER ROLE {role} PASSWORD '{PASSWORD}'")).await?;
        let variables = issuer.variables();
        let mut variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        variables.extend([
            ("RUST_LOG", "trace,actix_http=trace"),
            ("CURSOR_KEY", CURSOR_KEY),
            ("WEBHOOK_ALLOW_PRIVATE", "true"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
            ("OTEL_EXPORTER_OTLP_HEADERS", &header),
        ]);
        let url = format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/postgres", server.port());
        let mut service = Service::start_with(&variables, kind, &binaries.program(kind), &url, 0, logs)?;
        service.wait_until_ready().await?;
        services.push(service);
    }
    Ok(services)
}

/// Each of the values, in responses of every kind.
async fn use_everything(scene: &mut Scene, server: &PasswordServer) -> Result<()> {
    let (write, token) = (ServiceKind::WriteApi, scene.token.clone());
    let id = scene.place(KEY).await?;
    let other = json!({"customer_id": CUSTOMER, "items": [{"sku": SKU, "quantity": 2, "price_cents": 5}]});
    scene.post("/orders", Some(KEY), &other).await?;
    let item = json!({"sku": SKU.repeat(40), "quantity": 0, "price_cents": SKU});
    let invalid = json!({"customer_id": CUSTOMER, "items": [item]});
    scene.post("/orders", Some(KEY), &invalid).await?;
    scene.post("/orders", Some(&KEY.repeat(40)), &other).await?;
    scene.post(&format!("/orders/{id}/pay"), None, &json!({})).await?;
    scene
        .post(&format!("/orders/{id}/ship"), None, &json!({"carrier": "DHL", "tracking_number": TRACKING}))
        .await?;
    scene
        .post(&format!("/orders/{id}/ship"), None, &json!({"carrier": "UPS", "tracking_number": TRACKING}))
        .await?;
    scene.post(&format!("/orders/{id}/cancel"), None, &json!({"reason": REASON})).await?;
    let cancelled = scene.place("another key").await?;
    scene.post(&format!("/orders/{cancelled}/cancel"), None, &json!({"reason": REASON.repeat(99)})).await?;
    scene.post(&format!("/orders/{cancelled}/cancel"), None, &json!({"reason": REASON})).await?;
    // PostgreSQL refuses a row.
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
    for bad in [BAD_TOKEN, &token.replace('.', ".x")] {
        let url = scene.url(write, "/orders")?;
        scene.send(scene.client.post(url).bearer_auth(bad).json(&other)).await?;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_personal_data_is_in_a_log_a_metric_a_span_or_a_problem() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let server = PasswordServer::start_without_tls()?;
    server.execute("ALTER SYSTEM SET log_error_verbosity = 'terse'").await?;
    server.execute("SELECT pg_reload_conf()").await?;
    migrate::up(&server.server().superuser_url("postgres")).await?;
    let issuer = TokenIssuer::new(logs.path())?;
    let scopes = [
        "orders:place",
        "orders:pay",
        "orders:fulfil",
        "orders:cancel:any",
        "orders:read:any",
        "events:read",
    ];
    let token = issuer.token("a-service", &scopes, None)?;
    let collector = Collector::start(Mode::Accept).await?;
    let services = start(&server, &issuer, &collector, logs.path()).await?;
    let receiver = Receiver::start().await?;
    let url = format!("postgres://orders_projector:{PASSWORD}@127.0.0.1:{}/postgres", server.port());
    for path in ["accepted", "refused"] {
        add_endpoint(&url, &format!("{}/{path}?key={URL_KEY}", receiver.url()), SIGNING).await?;
    }
    let own_token = issuer.token(CUSTOMER, &["orders:read"], Some(CUSTOMER))?;
    let mut scene = Scene { services, client: Client::new(), token: token.clone(), problems: Vec::new() };
    use_everything(&mut scene, &server).await?;
    follow_own_orders(&scene, &own_token).await?;
    until_all_has_happened(&server, &receiver).await?;
    ensure!(scene.problems.len() >= 12, "too few problems: {:?}", scene.problems);

    let mut all = vec![("a problem", scene.problems.join("\n"))];
    for service in &scene.services {
        let metrics =
            scene.client.get(format!("{}/metrics", service.admin_url())).send().await?.text().await?;
        all.push(("a metric", metrics));
    }
    let names: Vec<_> = scene.services.iter().map(|service| service.kind().name()).collect();
    for service in scene.services {
        service.stop()?;
    }
    for name in names {
        let log = fs::read_to_string(logs.path().join(format!("{name}.log")))?;
        ensure!(log.contains("\"TRACE\""), "{name} does not log at trace");
        all.push((name, log));
    }
    let spans = format!("{:#?}", collector.spans());
    ensure!(["commit", "project", "webhook"].iter().all(|name| spans.contains(name)), "{spans}");
    all.push(("a span", spans));
    let log = fs::read_to_string(server.server().log())?;
    ensure!(log.contains("violates check constraint"), "PostgreSQL refused no row: {log}");
    all.push(("the log of PostgreSQL", log));
    let signature = token.rsplit('.').next().context("no signature")?;
    let own_signature = own_token.rsplit('.').next().context("no signature")?;
    let signatures = receiver.signatures();
    ensure!(!signatures.is_empty(), "no message is signed");
    let mut canaries = vec![PASSWORD, CURSOR_KEY, CUSTOMER, SKU, KEY, REASON, TRACKING, BAD_TOKEN, signature];
    canaries.extend([
        own_signature,
        SIGNING,
        &SIGNING[6..],
        COLLECTOR_KEY,
        "canary-signing-secret-01",
        URL_KEY,
    ]);
    canaries.extend(signatures.iter().map(String::as_str));
    for (place, text) in &all {
        for canary in canaries.iter().copied() {
            // As the driver logs a parameter.
            let bytes = canary.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
            // Access lines name the subject of a token.
            let is_own = |line: &str| canary == CUSTOMER && line.contains(r#""target":"access""#);
            let has = |line: &str| line.contains(canary) || line.contains(&bytes);
            let line = text.lines().find(|line| has(line) && !is_own(line));
            assert_eq!(line, None, "{canary} is in {place}");
        }
    }
    Ok(())
}
