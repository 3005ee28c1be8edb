//! The services at trace, with secrets that are canaries.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::otlp::Collector;
use testkit::postgres::PasswordServer;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::tokens::TokenIssuer;

use super::{COLLECTOR_KEY, CURSOR_KEY, CUSTOMER, PASSWORD, SKU};

/// The services, and the problem documents of their responses.
pub(super) struct Scene {
    services: Vec<Service>,
    pub(super) client: Client,
    pub(super) token: String,
    pub(super) problems: Vec<String>,
}

impl Scene {
    pub(super) async fn start(
        server: &PasswordServer,
        issuer: &TokenIssuer,
        collector: &Collector,
        logs: &Path,
    ) -> Result<Self> {
        let services = start(server, issuer, collector, logs).await?;
        // No response takes as long: a stream that should have been refused.
        let client = Client::builder().timeout(Duration::from_mins(1)).build()?;
        Ok(Self { services, client, token: service_token(issuer)?, problems: Vec::new() })
    }

    pub(super) fn service(&self, kind: ServiceKind) -> Result<&Service> {
        self.services.iter().find(|service| service.kind() == kind).context("not started")
    }

    pub(super) fn url(&self, kind: ServiceKind, path: &str) -> Result<String> {
        Ok(format!("{}{path}", self.service(kind)?.url()))
    }

    pub(super) async fn send(&mut self, request: RequestBuilder) -> Result<Value> {
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if status.is_success() {
            return Ok(serde_json::from_str(&text).unwrap_or_default());
        }
        self.problems.push(text);
        Ok(Value::Null)
    }

    pub(super) fn request(&self, method: Method, kind: ServiceKind, path: &str) -> Result<RequestBuilder> {
        Ok(self.client.request(method, self.url(kind, path)?).bearer_auth(&self.token))
    }

    pub(super) async fn post(&mut self, path: &str, key: Option<&str>, body: &Value) -> Result<Value> {
        let request = self.request(Method::POST, ServiceKind::WriteApi, path)?.json(body);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        self.send(request).await
    }

    pub(super) async fn read(&mut self, kind: ServiceKind, path: &str, token: &str) -> Result<Value> {
        let request = self.client.get(self.url(kind, path)?).bearer_auth(token);
        self.send(request).await
    }

    pub(super) async fn place(&mut self, key: &str) -> Result<String> {
        let body = json!({"customer_id": CUSTOMER, "items": [{"sku": SKU, "quantity": 1, "price_cents": 5}]});
        let placed = self.post("/orders", Some(key), &body).await?;
        Ok(placed.pointer("/order_id").and_then(Value::as_str).context("no order")?.to_owned())
    }

    /// Problems, metrics and logs, each with its name. The services end.
    pub(super) async fn collect(self, logs: &Path) -> Result<Vec<(&'static str, String)>> {
        let mut all = vec![("a problem", self.problems.join("\n"))];
        for service in &self.services {
            let metrics = self.client.get(format!("{}/metrics", service.admin_url()));
            all.push(("a metric", metrics.send().await?.text().await?));
        }
        for service in self.services {
            let name = service.kind().name();
            service.stop()?;
            let log = fs::read_to_string(logs.join(format!("{name}.log")))?;
            ensure!(log.contains("\"TRACE\""), "{name} does not log at trace");
            all.push((name, log));
        }
        Ok(all)
    }
}

async fn start(
    server: &PasswordServer,
    issuer: &TokenIssuer,
    collector: &Collector,
    logs: &Path,
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

fn service_token(issuer: &TokenIssuer) -> Result<String> {
    let scopes = [
        "orders:place",
        "orders:pay",
        "orders:fulfil",
        "orders:cancel:any",
        "orders:read:any",
        "events:read",
    ];
    Ok(issuer.token("a-service", &scopes, None)?)
}
