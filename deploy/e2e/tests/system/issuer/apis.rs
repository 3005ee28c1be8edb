//! The processes of all APIs with `AUTH=jwt`, and their callers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::json;
use testkit::database::add_examples;
use testkit::load::Load;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;

use super::server::Issuer;
use crate::proxy::free_ports;

/// Callers of each API.
const CALLERS: usize = 3;
/// The pause of each caller between two requests. It leaves CPU time to the processes and to other tests.
const PAUSE: Duration = Duration::from_millis(20);

/// A process of each API. Dropping it ends them.
pub(super) struct Apis {
    services: Vec<Service>,
    addresses: Vec<Api>,
    _database: TestDatabase,
    _logs: tempfile::TempDir,
}

impl Apis {
    /// Waits until all are ready.
    pub(super) async fn start(issuer: &Issuer) -> Result<Self> {
        let mut apis = Self::start_without_waiting(issuer).await?;
        apis.wait_until_ready().await?;
        Ok(apis)
    }

    pub(super) async fn start_without_waiting(issuer: &Issuer) -> Result<Self> {
        let kinds = ServiceKind::WITH_EXAMPLES;
        let binaries = ServiceBinaries::build_all(&kinds).await?;
        let database = TestDatabase::create().await?;
        add_examples(&database.superuser_url()).await?;
        let logs = tempfile::tempdir()?;
        let (mut services, mut addresses) = (Vec::new(), Vec::new());
        for (kind, [port, admin_port]) in kinds.into_iter().zip(free_ports::<8>()?.as_chunks::<2>().0) {
            let admin = admin_port.to_string();
            // All callers have one address here, and share the machine with other tests.
            let patient = [
                ("RATE_LIMIT_BURST", "10000"),
                ("DATABASE_POOL_WAIT_MS", "20000"),
                ("DATABASE_CONNECT_TIMEOUT_MS", "20000"),
                ("DATABASE_STATEMENT_TIMEOUT_MS", "20000"),
            ];
            let variables = [&issuer.variables()[..], &[("ADMIN_PORT", &admin)], &patient].concat();
            let (program, url) = (binaries.program(kind), database.url(kind.role()));
            services.push(Service::start_with(&variables, kind, &program, &url, *port, logs.path())?);
            addresses.push(Api::new(kind, *port, *admin_port));
        }
        Ok(Self { services, addresses, _database: database, _logs: logs })
    }

    pub(super) async fn wait_until_ready(&mut self) -> Result<()> {
        for service in &mut self.services {
            service.wait_until_ready().await?;
        }
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Api> {
        self.addresses.iter()
    }

    pub(super) fn get(&self, kind: ServiceKind) -> Result<&Api> {
        self.iter().find(|api| api.kind == kind).context("it is not started")
    }

    /// Several callers of each API, each with one of these tokens after the other.
    pub(super) fn load(&self, tokens: &Tokens) -> Load {
        let callers = self.iter().flat_map(|api| std::iter::repeat_n(api, CALLERS));
        Load::start(callers.map(|api| {
            let (api, tokens) = (api.clone(), tokens.clone());
            move || {
                let (api, token) = (api.clone(), tokens.next());
                async move {
                    tokio::time::sleep(PAUSE).await;
                    api.check(&token?).await
                }
            }
        }))
    }
}

/// An API as its callers see it.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) kind: ServiceKind,
    pub(super) url: String,
    pub(super) admin_url: String,
    client: Client,
}

impl Api {
    pub(super) fn new(kind: ServiceKind, port: u16, admin_port: u16) -> Self {
        let [url, admin_url] = [port, admin_port].map(|port| format!("http://127.0.0.1:{port}"));
        Self { kind, url, admin_url, client: Client::new() }
    }

    /// A request that needs one of the scopes of [`Issuer::token`].
    fn request(&self) -> RequestBuilder {
        let Self { url, client, .. } = self;
        match self.kind {
            ServiceKind::WriteApi => {
                let items = json!([{"sku": "TEA", "quantity": 1, "price_cents": 450}]);
                client.post(format!("{url}/orders")).json(&json!({"customer_id": "alice", "items": items}))
            }
            ServiceKind::ReadApi => client.get(format!("{url}/customers/alice/orders")),
            ServiceKind::Projector | ServiceKind::RevenueProjector => client.get(format!("{url}/events")),
            ServiceKind::RevenueApi => client.get(format!("{url}/orders-by-sku")),
        }
    }

    pub(super) async fn call(&self, token: &str) -> Result<Response> {
        Ok(self.request().bearer_auth(token).send().await?)
    }

    pub(super) async fn status(&self, token: &str) -> Result<StatusCode> {
        Ok(self.call(token).await?.status())
    }

    /// Fails if the request is refused.
    pub(super) async fn check(&self, token: &str) -> Result<()> {
        let response = self.call(token).await?;
        let status = response.status();
        ensure!(status.is_success(), "{}: {status} {}", self.kind.name(), response.text().await?);
        Ok(())
    }

    /// The value of a metric without labels.
    pub(super) async fn metric(&self, name: &str) -> Result<f64> {
        let metrics = reqwest::get(format!("{}/metrics", self.admin_url)).await?.text().await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("no {name}"))?.parse()?)
    }
}

/// Tokens that callers take in turn.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    tokens: Arc<Mutex<Vec<String>>>,
    turn: Arc<AtomicUsize>,
}

impl Tokens {
    pub(super) fn set(&self, tokens: Vec<String>) {
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    fn next(&self) -> Result<String> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let token = turn.checked_rem(tokens.len()).and_then(|index| tokens.get(index));
        Ok(token.context("no token")?.clone())
    }
}

/// This token as if a key with a name that nobody knows had signed it.
pub(super) fn with_unknown_key(token: &str) -> Result<String> {
    let (_, rest) = token.split_once('.').context("no token")?;
    let header = json!({"alg": "ES256", "kid": uuid::Uuid::new_v4().to_string()});
    Ok(format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string())))
}
