//! write-api and a projector that send traces to a collector.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use testkit::database::add_examples;
use testkit::otlp::{Collector, Mode};
use testkit::services::{Operator, Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;

pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// The projector has a read model that is a subscription.
const KINDS: [ServiceKind; 2] = [ServiceKind::WriteApi, ServiceKind::RevenueProjector];

pub(super) struct Scene {
    pub(super) collector: Collector,
    pub(super) write: Service,
    pub(super) projector: Service,
    pub(super) database: TestDatabase,
    binaries: ServiceBinaries,
    client: Client,
    logs: tempfile::TempDir,
}

impl Scene {
    pub(super) async fn start(variables: &[(&str, &str)]) -> Result<Self> {
        Self::with_collector(Collector::start(Mode::Accept).await?, variables).await
    }

    /// `variables` come after those of the scene, and may replace them.
    pub(super) async fn with_collector(collector: Collector, variables: &[(&str, &str)]) -> Result<Self> {
        let (database, logs) = (TestDatabase::create().await?, tempfile::tempdir()?);
        add_examples(&database.superuser_url()).await?;
        let binaries = ServiceBinaries::build_all(&KINDS).await?;
        let mut all = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            // Not those of the person who runs this.
            ("OTEL_SERVICE_NAME", ""),
            ("OTEL_RESOURCE_ATTRIBUTES", ""),
            ("OTEL_TRACES_SAMPLER", ""),
            ("WEBHOOK_ALLOW_PRIVATE", "true"),
        ];
        all.extend(variables);
        let mut services = Vec::new();
        for kind in KINDS {
            let url = database.url(kind.role());
            let mut service = Service::start_with(&all, kind, &binaries.program(kind), &url, 0, logs.path())?;
            service.wait_until_ready().await?;
            services.push(service);
        }
        let (projector, write) = (services.pop().context("none")?, services.pop().context("none")?);
        Ok(Self { collector, write, projector, database, binaries, client: Client::new(), logs })
    }

    pub(super) fn operator(&self) -> Operator {
        let program = self.binaries.program(ServiceKind::RevenueProjector);
        Operator::new(program, self.database.url("orders_projector"))
    }

    pub(super) fn order(&self, customer: &str, price_cents: i64) -> RequestBuilder {
        let items = json!([{"sku": "TEA", "quantity": 1, "price_cents": price_cents}]);
        let order = json!({"customer_id": customer, "items": items});
        self.client.post(format!("{}/orders", self.write.url())).json(&order)
    }

    /// Places an order, and returns its id.
    pub(super) async fn place(&self, customer: &str, price_cents: i64) -> Result<String> {
        let placed = self.order(customer, price_cents).send().await?.error_for_status()?;
        let placed: Value = placed.json().await?;
        Ok(placed.get("order_id").and_then(Value::as_str).context("no id")?.to_owned())
    }

    pub(super) async fn step(&self, order: &str, step: &str) -> Result<()> {
        let url = format!("{}/orders/{order}/{step}", self.write.url());
        self.client.post(url).json(&json!({})).send().await?.error_for_status()?;
        Ok(())
    }

    /// The last line in the log of `service` that has these fields.
    pub(super) async fn line(&self, service: &str, fields: &[(&str, &str)]) -> Result<Value> {
        let log = self.logs.path().join(format!("{service}.log"));
        let line = wait::until("a log line", LIMIT, async || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let has_all = |line: &Value| fields.iter().all(|(field, value)| line[*field] == *value);
            lines.rfind(has_all).ok_or("not there")
        });
        Ok(line.await?)
    }

    /// The sum over all labels of a metric; none if it has no series.
    pub(super) async fn metric(&self, service: &Service, name: &str) -> Result<Option<f64>> {
        let text = self.client.get(format!("{}/metrics", service.admin_url())).send().await?.text().await?;
        let of_metric = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let is_it = series.split('{').next() == Some(name);
            if is_it { value.parse::<f64>().ok() } else { None }
        };
        let values: Vec<_> = text.lines().filter_map(of_metric).collect();
        Ok((!values.is_empty()).then(|| values.into_iter().sum()))
    }
}
