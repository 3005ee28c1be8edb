//! What the gauges of the database say while a table is locked, or the database is read-only.

use anyhow::Result;
use projector::{Config, Projector, ProjectorError};
use shared_events::{OrderChange, OrderEvent};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::metrics::{metric, until_metric};
use crate::support::{Scene, event};

const PARKED: &str = "orders_parked_events{state=\"retrying\"}";
const BACKLOG: &str = "orders_outbox_backlog_events";
const WAITING: &str = "orders_waiting_events";
const UP: &str = "orders_database_up";

struct Running {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ProjectorError>>,
}

impl Running {
    fn start(scene: &Scene) -> Result<Self> {
        let stop = CancellationToken::new();
        let config = Config::from_vars(&scene.vars())?;
        let projector = Projector::start(&config, projector::projections(), stop.clone())?;
        Ok(Self { address: projector.address(), stop, task: tokio::spawn(projector.run()) })
    }

    async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await??)
    }
}

#[tokio::test]
async fn a_locked_table_hides_its_own_gauges_only() -> Result<()> {
    let scene = Scene::create().await?;
    let projector = Running::start(&scene)?;
    let address = projector.address;
    for (table, hidden, shown) in [
        ("parked_events", PARKED, BACKLOG),
        ("waiting_events", WAITING, BACKLOG),
        ("outbox", BACKLOG, PARKED),
    ] {
        let readable = format!("orders_table_readable{{table=\"{table}\"}}");
        until_metric(address, &readable, |value| value == 1.0).await?;
        let holder = scene.database.connect().await?;
        holder.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
        until_metric(address, &readable, |value| value == 0.0).await?;
        assert!(metric(address, hidden).await?.is_nan(), "{hidden}");
        assert_eq!(metric(address, shown).await?, 0.0, "{shown}");
        assert_eq!(metric(address, UP).await?, 1.0, "PostgreSQL replies");
        holder.batch_execute("ROLLBACK").await?;
    }
    projector.stop().await
}

#[tokio::test]
async fn a_read_only_database_replies() -> Result<()> {
    let scene = Scene::create().await?;
    let name: String = scene.session.query_one("SELECT current_database()::text", &[]).await?.get(0);
    let read_only = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on");
    scene.session.batch_execute(&read_only).await?;
    let projector = Running::start(&scene)?;
    assert_eq!(metric(projector.address, UP).await?, 1.0);
    assert!(metric(projector.address, BACKLOG).await?.is_nan(), "it is not queried");
    projector.stop().await
}

#[tokio::test]
async fn republished_events_have_no_lag() -> Result<()> {
    let scene = Scene::create().await?;
    let placed = event(1, 1);
    let again = OrderEvent { change: OrderChange::Republished, ..placed.clone() };
    scene.emit([placed, again]).await?;
    let projector = Running::start(&scene)?;
    let address = projector.address;
    until_metric(address, "orders_projector_events_applied_total", |events| events == 2.0).await?;
    assert_eq!(metric(address, "orders_projector_lag_seconds_count").await?, 1.0);
    projector.stop().await
}
