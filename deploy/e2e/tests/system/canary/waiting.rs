//! A read that waits for its own write, which is not projected before that.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::Value;
use testkit::postgres::PasswordServer;
use testkit::services::ServiceKind;
use testkit::wait;
use tokio_postgres::{Client, NoTls};

use super::LIMIT;
use super::scene::Scene;

/// While this session is open, no event is projected.
pub(super) async fn hold_projection(server: &PasswordServer) -> Result<Client> {
    let (session, connection) =
        tokio_postgres::connect(&server.server().superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    session.batch_execute("BEGIN; LOCK TABLE order_summary IN SHARE MODE").await?;
    Ok(session)
}

/// Waits for this version of the order, and ends `held` once it does.
pub(super) async fn read(scene: &mut Scene, id: &str, version: i32, held: Client) -> Result<()> {
    let path = format!("/orders/{id}?min_version={version}");
    let request = scene.request(Method::GET, ServiceKind::ReadApi, &path)?.header("prefer", "wait=30");
    let waiting = tokio::spawn(request.send());
    let metrics = format!("{}/metrics", scene.service(ServiceKind::ReadApi)?.admin_url());
    wait::until("a request that waits", LIMIT, async || {
        let response = scene.client.get(&metrics).send().await.map_err(|error| error.to_string())?;
        let text = response.text().await.map_err(|error| error.to_string())?;
        if text.lines().any(|line| line == "orders_version_waits 1") { Ok(()) } else { Err(text) }
    })
    .await?;
    held.batch_execute("COMMIT").await?;
    let order: Value = waiting.await??.error_for_status()?.json().await?;
    ensure!(order.get("version") == Some(&Value::from(version)), "{order}");
    Ok(())
}
