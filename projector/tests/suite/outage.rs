//! PostgreSQL stops for a while, and starts again.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use projector::{Config, Projector};
use reqwest::StatusCode;
use testkit::fault_proxy::Wire;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::wait;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

use crate::metrics::{metric, until_metric};
use crate::support::{Scene, event, vars_of};

/// Starts the server on the same data again, and points `current` at its socket. It stops in order, so nothing needs
/// to survive a crash; waiting for a busy disk would only use up the deadlines.
fn start(data: &Path, current: &Path) -> Result<PrivateServer> {
    let options = ServerOptions { tuning: Tuning::Throwaway, data_dir: Some(data.to_owned()) };
    let server = PrivateServer::start(&options)?;
    if current.is_symlink() {
        std::fs::remove_file(current)?;
    }
    symlink(server.socket_dir(), current)?;
    Ok(server)
}

async fn execute(server: &PrivateServer, statement: &str) -> Result<()> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session.batch_execute(statement).await?)
}

async fn until_ready_is(address: std::net::SocketAddr, expected: StatusCode) -> Result<()> {
    wait::until("readiness to change", Duration::from_secs(30), || async {
        let status = reqwest::get(format!("http://{address}/readyz")).await.map(|response| response.status());
        if matches!(status, Ok(status) if status == expected) { Ok(()) } else { Err(status) }
    })
    .await?;
    Ok(())
}

/// An event that can be projected and one that cannot.
fn insert(order: u128) -> Result<String> {
    let event = event(order, 1).encode()?;
    Ok(format!(
        "INSERT INTO outbox (kind, payload) VALUES ('{}', '{}'), ('order_gift_wrapped', '{{}}')",
        event.kind, event.payload
    ))
}

#[tokio::test]
async fn while_postgresql_is_stopped_the_loops_pause_and_use_no_attempts() -> Result<()> {
    let dir = tempfile::tempdir_in("/tmp")?;
    let (data, current) = (dir.path().join("data"), dir.path().join("now"));
    // The server's own user needs access.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let server = start(&data, &current)?;
    migrate::up(&server.superuser_url("postgres")).await?;
    let host = current.display().to_string().replace('/', "%2F");
    let url = format!("postgres://orders_projector@{host}/postgres");
    let mut vars = vars_of(&url);
    vars.push(("READINESS_GRACE_MS".to_owned(), "1500".to_owned()));
    let config = Config::from_vars(&vars)?;
    let stop = CancellationToken::new();
    let projector = Projector::start(&config, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());
    execute(&server, &insert(1)?).await?;
    until_metric(address, "orders_projector_events_applied_total", |applied| applied == 1.0).await?;
    until_ready_is(address, StatusCode::OK).await?;

    drop(server);
    until_ready_is(address, StatusCode::SERVICE_UNAVAILABLE).await?;
    until_metric(address, "orders_projector_batches_failed_total", |failed| failed >= 5.0).await?;
    assert_eq!(metric(address, "orders_database_up").await?, 0.0);
    assert!(
        metric(address, "orders_outbox_backlog_events").await?.is_nan(),
        "an old value would look current"
    );

    let server = start(&data, &current)?;
    let back = Instant::now();
    execute(&server, &insert(2)?).await?;
    until_metric(address, "orders_projector_events_applied_total", |applied| applied == 2.0).await?;
    assert!(
        back.elapsed() < Duration::from_secs(2),
        "the first event was applied after {:?}",
        back.elapsed()
    );
    until_ready_is(address, StatusCode::OK).await?;
    assert_eq!(metric(address, "orders_projector_events_parked_total").await?, 2.0);
    execute(
        &server,
        "DO $$ BEGIN ASSERT (SELECT array_agg(attempts) FROM parked_events) = ARRAY[1, 1]; END $$",
    )
    .await?;
    stop.cancel();
    running.await??;
    Ok(())
}

/// Established connections get no more responses, and new ones work: events must be applied again soon.
async fn projects_after_silence(wire: Wire) -> Result<()> {
    let scene = Scene::create().await?;
    let (proxy, url) = scene.database.behind_a_proxy("orders_projector").await?;
    let config = Config::from_vars(&vars_of(&url))?;
    let stop = CancellationToken::new();
    let projector = Projector::start(&config, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());
    scene.emit([event(1, 1)]).await?;
    until_metric(address, "orders_projector_events_applied_total", |applied| applied == 1.0).await?;

    proxy.set(wire);
    wait::until("a statement to be in flight", Duration::from_secs(30), async || {
        if proxy.lost() > 0 { Ok(()) } else { Err("no data was lost") }
    })
    .await?;
    proxy.heal_for_new_connections();
    let silent_since = Instant::now();
    scene.emit([event(2, 1)]).await?;
    wait::until("the event to be applied", Duration::from_secs(20), async || {
        match scene.count("order_summary").await {
            Ok(2) => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    let silent = silent_since.elapsed();
    assert!(silent < Duration::from_secs(6), "{wire:?}: projecting again after {silent:?}");
    until_ready_is(address, StatusCode::OK).await?;
    assert!(
        silent_since.elapsed() < Duration::from_secs(6),
        "ready again after {:?}",
        silent_since.elapsed()
    );
    stop.cancel();
    running.await??;
    Ok(())
}

#[tokio::test]
async fn when_established_connections_go_silent_it_projects_again_within_six_seconds() -> Result<()> {
    let (responses, requests) =
        tokio::join!(projects_after_silence(Wire::ResponsesLost), projects_after_silence(Wire::RequestsLost));
    responses.and(requests)
}
