//! The whole process: probes, stopping, and a worker that panics.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use projector::projection::Projection;
use projector::{Config, Projector, ProjectorError};
use reqwest::StatusCode;
use service_kit::config::Vars;
use shared_events::OrderEvent;
use testkit::owned_database::OwnedDatabase;
use testkit::services::{Service, ServiceKind};
use testkit::wait;
use tokio_util::sync::CancellationToken;

use crate::support::{Scene, event, vars_of};

const PROGRAM: &str = env!("CARGO_BIN_EXE_projector");

/// Panics, as code with a bug does.
struct Panics;

impl Projection for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    #[expect(clippy::panic, reason = "this projection must panic")]
    fn apply<'a>(
        &'a self,
        _: &'a mut AsyncPgConnection,
        _: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        panic!("a bug in a projection")
    }
}

/// A projector in this process, which [`Self::stop`] ends.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), ProjectorError>>,
}

impl Running {
    fn start(vars: &Vars) -> Result<Self> {
        let stop = CancellationToken::new();
        let config = Config::from_vars(vars)?;
        let projector = Projector::start(&config, projector::projections(), stop.clone())?;
        Ok(Self { address: projector.address(), stop, task: tokio::spawn(projector.run()) })
    }

    /// Waits until it has ended without an error.
    async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await??)
    }
}

async fn probe(address: SocketAddr, path: &str) -> Result<StatusCode> {
    Ok(reqwest::get(format!("http://{address}{path}")).await?.status())
}

#[tokio::test]
async fn it_is_ready_once_a_batch_has_completed_and_stops_after_the_signal() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    let running = Running::start(&scene.vars())?;
    let address = running.address;

    wait::until("readiness", Duration::from_secs(30), || async {
        let status = probe(address, "/readyz").await;
        if matches!(status, Ok(StatusCode::OK)) { Ok(()) } else { Err(status) }
    })
    .await?;
    assert_eq!(scene.count("order_summary").await?, 1);
    // The loop continues.
    scene.emit([event(2, 1)]).await?;
    wait::until("the second order", Duration::from_secs(30), || async {
        let count = scene.count("order_summary").await;
        if matches!(count, Ok(2)) { Ok(()) } else { Err(count) }
    })
    .await?;
    running.stop().await
}

#[tokio::test]
async fn without_a_database_it_is_alive_but_not_ready() -> Result<()> {
    let running = Running::start(&vars_of("postgres://orders_projector@%2Fno%2Fsuch%2Fplace/orders"))?;
    let address = running.address;
    assert_eq!(probe(address, "/livez").await?, StatusCode::OK);
    assert_eq!(probe(address, "/readyz").await?, StatusCode::SERVICE_UNAVAILABLE);
    until_readiness_says(address, "PostgreSQL cannot be reached.").await?;
    running.stop().await
}

async fn until_readiness_says(address: SocketAddr, expected: &str) -> Result<()> {
    wait::until("the reason", Duration::from_secs(30), async || {
        let response = reqwest::get(format!("http://{address}/readyz")).await;
        let text = response.map_err(|error| error.to_string())?.text().await;
        let text = text.map_err(|error| error.to_string())?;
        if text.contains(expected) { Ok(()) } else { Err(text) }
    })
    .await?;
    Ok(())
}

/// The role may have one connection. Whichever part of the process needs another is refused.
#[tokio::test]
async fn without_connections_for_batches_readiness_names_the_limit() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    let vars = vars_of(&owned.server.url("orders_projector", "orders"));
    owned.superuser.batch_execute("ALTER ROLE orders_projector CONNECTION LIMIT 1").await?;
    let running = Running::start(&vars)?;
    let address = running.address;
    until_readiness_says(address, "PostgreSQL has no connection left for this role").await?;
    owned.superuser.batch_execute("ALTER ROLE orders_projector CONNECTION LIMIT -1").await?;
    until_readiness_says(address, r#"{"status":"ready"}"#).await?;
    running.stop().await
}

/// The checks succeed, and PostgreSQL refuses each claim.
#[tokio::test]
async fn while_only_batches_fail_readiness_says_why() -> Result<()> {
    let scene = Scene::create().await?;
    scene
        .session
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
             CREATE TRIGGER refuse BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await?;
    scene.emit([event(1, 1)]).await?;
    let running = Running::start(&scene.vars())?;
    let address = running.address;
    let reason =
        "The process has had no success recently. PostgreSQL refused a statement; the log says which.";
    until_readiness_says(address, reason).await?;
    scene.session.batch_execute("DROP TRIGGER refuse ON outbox").await?;
    until_readiness_says(address, r#"{"status":"ready"}"#).await?;
    running.stop().await
}

#[tokio::test]
async fn a_worker_that_panics_ends_the_process_with_an_error_and_loses_no_event() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    let config = Config::from_vars(&scene.vars())?;
    let panics: Vec<Box<dyn Projection>> = vec![Box::new(Panics)];
    let projector = Projector::start(&config, panics, CancellationToken::new())?;
    let error = tokio::time::timeout(Duration::from_secs(10), projector.run()).await?.unwrap_err();
    assert!(matches!(error, ProjectorError::Worker(_)), "{error:?}");
    wait::until("the rollback", Duration::from_secs(30), || async {
        let count = scene.count("outbox").await;
        if matches!(count, Ok(1)) { Ok(()) } else { Err(count) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn the_binary_ends_within_five_seconds_of_sigterm_under_load() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    let copies =
        "INSERT INTO outbox (kind, payload) SELECT kind, payload FROM outbox, generate_series(1, 100000)";
    scene.session.batch_execute(copies).await?;
    let logs = tempfile::tempdir()?;
    let url = scene.database.url("orders_projector");
    let mut service = Service::start(ServiceKind::Projector, Path::new(PROGRAM), &url, 0, logs.path())?;
    service.wait_until_ready().await?;

    let start = Instant::now();
    let status = service.stop()?;
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(scene.count("order_summary").await?, 1);
    assert!(scene.count("outbox").await? > 0, "the outbox was drained before the signal");
    Ok(())
}

#[tokio::test]
async fn a_scraper_that_keeps_its_connection_does_not_delay_the_stop() -> Result<()> {
    let scene = Scene::create().await?;
    let logs = tempfile::tempdir()?;
    let url = scene.database.url("orders_projector");
    let mut service = Service::start(ServiceKind::Projector, Path::new(PROGRAM), &url, 0, logs.path())?;
    service.wait_until_ready().await?;
    let scraper = reqwest::Client::new();
    scraper.get(format!("{}/metrics", service.admin_url())).send().await?.error_for_status()?.text().await?;

    let start = Instant::now();
    let status = service.stop()?;
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(scraper);
    Ok(())
}

#[test]
fn a_bad_configuration_ends_it_at_once_and_names_the_variable() -> Result<()> {
    let vars = [("DATABASE_URL", "postgres://orders_projector@localhost/orders"), ("WORKERS", "none")];
    let output = Command::new(PROGRAM).env_clear().envs(vars).stdin(Stdio::null()).output()?;
    let line: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert!(line["error"].as_str().is_some_and(|error| error.contains("WORKERS")), "{line}");
    assert_eq!((output.status.code(), output.stderr), (Some(78), vec![]));
    // A command is for a person.
    let output = Command::new(PROGRAM).arg("parked").arg("list").env_clear().stdin(Stdio::null()).output()?;
    let error = String::from_utf8(output.stderr)?;
    assert!(error.starts_with("Error: DATABASE_URL (or DATABASE_URL_FILE) is not set"), "{error}");
    assert_eq!((output.status.code(), output.stdout), (Some(78), vec![]));
    Ok(())
}
