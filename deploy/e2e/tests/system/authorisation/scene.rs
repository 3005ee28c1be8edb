//! All services with `AUTH=jwt`, and orders in each status.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::database::add_examples;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::tokens::TokenIssuer;
use testkit::wait;

use super::callers::{Caller, OWNER};
use super::operations::{self, Operation};

const SOON: Duration = Duration::from_secs(30);

/// The steps of the write side, and those that an order must have taken before.
const STEPS: [(&str, &[&str]); 4] =
    [("pay", &[]), ("ship", &["pay"]), ("deliver", &["pay", "ship"]), ("cancel", &[])];

/// All services, and an order of [`OWNER`] for each step.
pub(super) struct Scene {
    client: Client,
    issuer: TokenIssuer,
    services: Vec<Service>,
    /// By step.
    orders: Vec<(&'static str, String)>,
    _database: TestDatabase,
    _dir: tempfile::TempDir,
}

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Scene {
    pub(super) async fn start() -> Result<Self> {
        let binaries = ServiceBinaries::build_all(&ServiceKind::WITH_EXAMPLES).await?;
        let database = TestDatabase::create().await?;
        add_examples(&database.superuser_url()).await?;
        let dir = tempfile::tempdir()?;
        let issuer = TokenIssuer::new(dir.path())?;
        let variables = issuer.variables();
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut services = Vec::new();
        for kind in ServiceKind::WITH_EXAMPLES {
            let (program, url) = (binaries.program(kind), database.url(kind.role()));
            let mut service = Service::start_with(&variables, kind, &program, &url, 0, dir.path())?;
            service.wait_until_ready().await?;
            services.push(service);
        }
        let client = Client::new();
        let mut scene = Self { client, issuer, services, orders: Vec::new(), _database: database, _dir: dir };
        for (step, before) in STEPS {
            let order_id = scene.place(before).await?;
            scene.wait_until_visible(&order_id, before.len() + 1).await?;
            scene.orders.push((step, order_id));
        }
        Ok(scene)
    }

    /// The operations of all services.
    pub(super) async fn operations(&self) -> Result<Vec<Operation>> {
        let mut operations = Vec::new();
        for service in &self.services {
            operations.extend(operations::of(service.url()).await?);
        }
        Ok(operations)
    }

    pub(super) fn url(&self, kind: ServiceKind) -> Result<&str> {
        let service = self.services.iter().find(|service| service.kind() == kind);
        Ok(service.context("no such service")?.url())
    }

    /// A token with the claims of this caller; `None` if it has none.
    pub(super) fn token(&self, caller: &Caller) -> Result<Option<String>> {
        if caller.scopes.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.issuer.token("a-caller", &caller.scopes, caller.customer)?))
    }

    /// A request that is valid in everything but perhaps its token. Writes may be repeated.
    pub(super) fn request(&self, operation: &Operation, caller: &Caller) -> Result<RequestBuilder> {
        let step = operation.path.rsplit('/').next().unwrap_or_default();
        let (_, order_id) = self.orders.iter().find(|(of, _)| *of == step).unwrap_or(&self.orders[0]);
        let path = operation.path.replace("{order_id}", order_id).replace("{customer_id}", OWNER);
        if path.contains('{') {
            bail!("a new parameter: add a value for {path}");
        }
        let request = self.send(operation.method.clone(), &operation.service, &path, caller)?;
        Ok(match (&operation.method, operation.path.as_str()) {
            (&Method::POST, "/orders") => request.json(&order()),
            (&Method::POST, _) => request.body(""),
            _ => request,
        })
    }

    fn send(&self, method: Method, service: &str, path: &str, caller: &Caller) -> Result<RequestBuilder> {
        let request = self.client.request(method, format!("{service}{path}"));
        Ok(match self.token(caller)? {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// Places an order that has taken these steps.
    async fn place(&self, steps: &[&str]) -> Result<String> {
        let (write, staff) = (self.url(ServiceKind::WriteApi)?, Caller::staff());
        let placed = self.send(Method::POST, write, "/orders", &staff)?.json(&order());
        let placed: Value = placed.send().await?.error_for_status()?.json().await?;
        let order_id = placed["order_id"].as_str().context("no order_id")?;
        for step in steps {
            let path = format!("/orders/{order_id}/{step}");
            self.send(Method::POST, write, &path, &staff)?.body("").send().await?.error_for_status()?;
        }
        Ok(order_id.to_owned())
    }

    async fn wait_until_visible(&self, order_id: &str, version: usize) -> Result<()> {
        let path = format!("/orders/{order_id}?min_version={version}");
        let read = self.url(ServiceKind::ReadApi)?;
        let visible = wait::until("the order to be visible", SOON, || async {
            let request = self.send(Method::GET, read, &path, &Caller::staff());
            let request = request.map_err(|error| error.to_string())?;
            let response = request.send().await.and_then(reqwest::Response::error_for_status);
            response.map(drop).map_err(|error| error.to_string())
        });
        Ok(visible.await?)
    }
}

fn order() -> Value {
    json!({"customer_id": OWNER, "items": [{"sku": "A", "quantity": 1, "price_cents": 100}]})
}
