//! The real programs: from a checkout's request to the sums, also for orders whose events are no longer in the log.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio::process::Command;

use crate::support::{SOON, Scene, migrations};

struct System {
    scene: Scene,
    binaries: ServiceBinaries,
    write: Service,
    logs: tempfile::TempDir,
}

impl System {
    /// write-api, and a database without the example.
    async fn start() -> Result<Self> {
        let kinds = [ServiceKind::WriteApi, ServiceKind::RevenueProjector, ServiceKind::RevenueApi];
        let binaries = ServiceBinaries::build_all(&kinds).await?;
        let database = TestDatabase::create().await?;
        let session = database.connect().await?;
        let scene = Scene { database, session };
        let logs = tempfile::tempdir()?;
        let write = start(ServiceKind::WriteApi, &binaries, &scene, &logs).await?;
        Ok(Self { scene, binaries, write, logs })
    }

    async fn start_service(&self, kind: ServiceKind) -> Result<Service> {
        start(kind, &self.binaries, &self.scene, &self.logs).await
    }

    /// Places an order and takes it through steps.
    async fn order(&self, sku: &str, price_cents: i64, steps: &[&str]) -> Result<()> {
        let client = reqwest::Client::new();
        let items = json!([{"sku": sku, "quantity": 2, "price_cents": price_cents}]);
        let body = json!({"customer_id": "alice", "currency": "EUR", "items": items});
        let placed = client.post(format!("{}/orders", self.write.url())).json(&body).send().await?;
        let placed: Value = placed.error_for_status()?.json().await?;
        let id = placed["order_id"].as_str().context("no order_id")?;
        for step in steps {
            let url = format!("{}/orders/{id}/{step}", self.write.url());
            client.post(url).json(&json!({})).send().await?.error_for_status()?;
        }
        Ok(())
    }

    /// Runs `write-api republish`.
    async fn republish(&self) -> Result<()> {
        let mut command = Command::new(self.binaries.program(ServiceKind::WriteApi));
        command.arg("republish").env("DATABASE_URL", self.scene.database.url("orders_write_api"));
        let output = command.stdin(Stdio::null()).output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

async fn start(
    kind: ServiceKind,
    binaries: &ServiceBinaries,
    scene: &Scene,
    logs: &tempfile::TempDir,
) -> Result<Service> {
    let url = scene.database.url(kind.role());
    let mut service = Service::start(kind, &binaries.program(kind), &url, 0, logs.path())?;
    service.wait_until_ready().await?;
    Ok(service)
}

/// The orders and cents of all months, and the orders and units of each SKU.
async fn shown(api: &Service) -> Result<(i64, i64, Vec<(String, i64, i64)>)> {
    let get = async |path: &str| -> Result<Value> {
        Ok(reqwest::get(format!("{}{path}", api.url())).await?.error_for_status()?.json().await?)
    };
    let number = |row: &Value, field: &str| row[field].as_i64().unwrap_or_default();
    let (months, skus) = (get("/revenue?by=month").await?, get("/orders-by-sku").await?);
    let months = months["revenue"].as_array().cloned().unwrap_or_default();
    let skus = skus["skus"].as_array().cloned().unwrap_or_default();
    let sku = |row: &Value| {
        (row["sku"].as_str().unwrap_or_default().to_owned(), number(row, "orders"), number(row, "units"))
    };
    Ok((
        months.iter().map(|row| number(row, "orders")).sum(),
        months.iter().map(|row| number(row, "revenue_cents")).sum(),
        skus.iter().map(sku).collect(),
    ))
}

async fn until_shown(api: &Service, orders: i64, cents: i64, skus: &[(&str, i64, i64)]) -> Result<()> {
    let skus: Vec<_> = skus.iter().map(|(sku, orders, units)| ((*sku).to_owned(), *orders, *units)).collect();
    let expected = (orders, cents, skus);
    wait::until("the sums", SOON, || async {
        match shown(api).await {
            Ok(found) if found == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn republished_orders_and_the_log_fill_the_read_model_together() -> Result<()> {
    let system = System::start().await?;
    // These leave the log before the read model exists.
    system.order("A", 100, &["pay"]).await?;
    system.order("A", 10, &["pay", "cancel"]).await?;
    system.order("B", 1, &[]).await?;
    system.scene.log_all().await?;
    system.scene.expire_log().await?;

    migrations()?.up(&system.scene.database.superuser_url()).await?;
    let _projector = system.start_service(ServiceKind::RevenueProjector).await?;
    let api = system.start_service(ServiceKind::RevenueApi).await?;
    system.order("A", 1_000, &["pay", "ship"]).await?;
    until_shown(&api, 1, 2_000, &[("A", 1, 2)]).await?;
    for _ in 0..2 {
        system.republish().await?;
        until_shown(&api, 2, 2_200, &[("A", 2, 4), ("B", 1, 2)]).await?;
    }
    system.order("C", 5, &["pay"]).await?;
    until_shown(&api, 3, 2_210, &[("A", 2, 4), ("B", 1, 2), ("C", 1, 2)]).await
}
