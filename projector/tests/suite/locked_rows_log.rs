//! The log names the first order whose row another session has locked.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use testkit::services::{Service, ServiceKind};
use testkit::wait;

use crate::support::{Scene, drain, event, order_id};

#[tokio::test]
async fn events_that_wait_for_a_lock_are_a_warning_with_the_first_order() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit_all(&[event(1, 1), event(2, 1)]).await?;
    let worker = scene.worker(10)?;
    drain(&worker).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute(&format!("SELECT FROM order_summary WHERE order_id = '{}' FOR UPDATE", order_id(2)), &[])
        .await?;
    let logs = tempfile::tempdir()?;
    let (program, url) = (env!("CARGO_BIN_EXE_projector"), scene.database.url("orders_projector"));
    let service = Service::start(ServiceKind::Projector, Path::new(program), &url, 0, logs.path())?;
    scene.emit_all(&[event(1, 2), event(2, 2)]).await?;
    let line = wait::until("the line", Duration::from_secs(30), async || {
        let log =
            std::fs::read_to_string(logs.path().join("projector.log")).map_err(|error| error.to_string())?;
        let line = log.lines().find(|line| line.contains("another session has locked rows"));
        line.map(str::to_owned).ok_or(log)
    })
    .await?;
    for expected in ["WARN", &order_id(2).to_string(), "\"order.version\":2", "\"events\":1"] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    lock.rollback().await?;
    assert!(service.stop()?.success());
    Ok(())
}
