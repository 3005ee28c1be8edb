//! `PgBouncer` ends TLS, and demands it.

use anyhow::{Context, Result, bail, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::certificates::{Authority, Validity};
use testkit::pgbouncer::PgBouncer;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;

use crate::scene::{HOST, LIMIT, PASSWORD, refusal};

#[tokio::test]
async fn every_process_works_behind_a_pooler_that_demands_tls() -> Result<()> {
    let (ca, dir, database) =
        (Authority::new("the CA")?, tempfile::tempdir()?, TestDatabase::create().await?);
    let (file, other) = (dir.path().join("ca.pem"), dir.path().join("other.pem"));
    std::fs::write(&file, ca.certificate())?;
    std::fs::write(&other, Authority::new("another CA")?.certificate())?;
    let identity = ca.issue(&[HOST], Validity::Now)?;
    let roles = ServiceKind::ALL.map(ServiceKind::role);
    for (number, pooler) in
        database.behind_pgbouncer_with_tls(&roles, PASSWORD, &identity)?.iter().enumerate()
    {
        let port = pooler.tls_port().context("no port")?;
        let url = |role: &str, tls: &str| {
            let name = database.name();
            format!("postgres://{role}:{PASSWORD}@{HOST}:{port}/{name}?hostaddr=127.0.0.1&{tls}")
        };
        let verified = format!("sslmode=verify-full&sslrootcert={}", file.display());
        assert_eq!(refusal(&url("orders_read_api", &verified)).await, None);
        let clear = refusal(&url("orders_read_api", "sslmode=disable")).await.context("without TLS")?;
        ensure!(clear.contains("SSL required"), "{clear}");
        let unknown = format!("sslmode=verify-full&sslrootcert={}", other.display());
        let unknown = refusal(&url("orders_read_api", &unknown)).await.context("another CA")?;
        ensure!(unknown.contains("not from a CA of sslrootcert"), "{unknown}");
        an_order_is_placed_and_read(pooler, &|role| url(role, &verified), &format!("customer-{number}"))
            .await?;
    }
    Ok(())
}

async fn an_order_is_placed_and_read(
    pooler: &PgBouncer,
    url: &dyn Fn(&str) -> String,
    customer: &str,
) -> Result<()> {
    let (binaries, logs) = (ServiceBinaries::built().await?, tempfile::tempdir()?);
    let mut running = Vec::new();
    for kind in ServiceKind::ALL {
        let mut service = Service::start(kind, &binaries.program(kind), &url(kind.role()), 0, logs.path())?;
        service.wait_until_ready().await.with_context(|| format!("{} behind {pooler:?}", kind.name()))?;
        running.push(service);
    }
    let [write, _, read] = running.as_slice() else { bail!("three services") };
    let body = json!({"customer_id": customer, "items": [{"sku": "A", "quantity": 1, "price_cents": 100}]});
    let placed = reqwest::Client::new().post(format!("{}/orders", write.url())).json(&body).send().await?;
    assert_eq!(placed.status(), StatusCode::CREATED);
    let list = format!("{}/customers/{customer}/orders", read.url());
    wait::until("the order in the list", LIMIT, async || {
        let list = reqwest::get(&list).await.map_err(|error| error.to_string())?;
        let list: Value = list.json().await.map_err(|error| error.to_string())?;
        if list.pointer("/orders/0").is_some() { Ok(()) } else { Err(list.to_string()) }
    })
    .await?;
    Ok(())
}
