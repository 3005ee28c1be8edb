//! An endpoint whose subscription does not run is seen by alerts.

use std::fs;
use std::path::Path;

use anyhow::Result;
use testkit::services::{Service, ServiceKind};
use testkit::wait;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{LIMIT, Running, add_receiver, config};
use crate::metrics::until_metric;
use crate::support::{Scene, event};

#[tokio::test]
async fn an_endpoint_whose_subscription_is_stopped_is_not_active_and_lags() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| OK)?;
    add_receiver(&scene, &receiver).await?;
    let running = Running::start(&config(&scene)?)?;
    let active = "orders_webhook_endpoint_active{endpoint=\"1\"}";
    until_metric(running.address, active, |active| active == 1.0).await?;
    scene.session.batch_execute("UPDATE subscriptions SET state = 'lost'").await?;
    scene.emit([event(1, 1)]).await?;
    until_metric(running.address, active, |active| active == 0.0).await?;
    let lag = "orders_webhook_lag_seconds{endpoint=\"1\"}";
    until_metric(running.address, lag, |lag| lag > 0.0).await?;
    scene.session.batch_execute("UPDATE subscriptions SET state = 'running'").await?;
    until_metric(running.address, active, |active| active == 1.0).await?;
    until_metric(running.address, lag, |lag| lag == 0.0).await?;
    running.stop().await
}

#[tokio::test]
async fn a_removed_endpoint_is_neither_active_nor_stopped() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| OK)?;
    add_receiver(&scene, &receiver).await?;
    let running = Running::start(&config(&scene)?)?;
    let active = "orders_webhook_endpoint_active{endpoint=\"1\"}";
    until_metric(running.address, active, |active| active == 1.0).await?;
    scene.session.batch_execute("DELETE FROM webhook_endpoints").await?;
    // An alert compares with 0, which NaN is not.
    until_metric(running.address, active, f64::is_nan).await?;
    running.stop().await
}

#[tokio::test]
async fn the_log_says_why_an_endpoint_is_paused() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| Reaction::Status(410))?;
    add_receiver(&scene, &receiver).await?;
    scene.emit([event(1, 1)]).await?;
    let logs = tempfile::tempdir()?;
    let (program, url) = (env!("CARGO_BIN_EXE_projector"), scene.database.url("orders_projector"));
    let allow = [("WEBHOOK_ALLOW_PRIVATE", "true")];
    let program = Path::new(program);
    let service = Service::start_with(&allow, ServiceKind::Projector, program, &url, 0, logs.path())?;
    let is_line = |line: &&str| line.contains("webhook endpoint paused");
    let log = logs.path().join("projector.log");
    until_logged(&log, is_line, "gone").await?;
    service.stop()?;
    Ok(())
}

/// Waits for an ERROR line with `text`.
async fn until_logged(log: &Path, is_line: impl Fn(&&str) -> bool, text: &str) -> Result<()> {
    wait::until("the line", LIMIT, async || {
        let log = fs::read_to_string(log).unwrap_or_default();
        match log.lines().find(&is_line) {
            Some(line) if line.contains("ERROR") && line.contains(text) => Ok(()),
            other => Err(other.map(str::to_owned)),
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn an_endpoint_without_a_subscription_is_logged_as_an_error() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| OK)?;
    add_receiver(&scene, &receiver).await?;
    scene.session.batch_execute("DELETE FROM subscriptions").await?;
    let logs = tempfile::tempdir()?;
    let (program, url) = (env!("CARGO_BIN_EXE_projector"), scene.database.url("orders_projector"));
    let service = Service::start(ServiceKind::Projector, Path::new(program), &url, 0, logs.path())?;
    let is_line = |line: &&str| line.contains("webhook endpoints get no events");
    until_logged(&logs.path().join("projector.log"), is_line, "[1]").await?;
    service.stop()?;
    Ok(())
}
