//! Each listener fails alone: while one is stuck, the claim and the other subscriptions go on.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::projection::Projection;
use projector::{Config, Projector, ProjectorError, ReadModels};
use shared_events::OrderEvent;
use testkit::wait;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::support::{After, Counts};
use crate::metrics::{metric, until_metric};
use crate::support::{Scene, event};

/// A projector with two read models that are subscriptions.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ProjectorError>>,
}

impl Running {
    pub(super) fn start(scene: &Scene, subscribed: Vec<Box<dyn Projection>>) -> Result<Self> {
        let stop = CancellationToken::new();
        let read_models = ReadModels { claimed: projector::projections(), subscribed };
        let projector = Projector::start(&Config::from_vars(&scene.vars())?, read_models, stop.clone())?;
        Ok(Self { address: projector.address(), stop, task: tokio::spawn(projector.run()) })
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await??)
    }
}

/// Waits until a table of counts has this many orders, each counted once.
pub(super) async fn until_counted(scene: &Scene, name: &str, orders: i64) -> Result<()> {
    wait::until(name, Duration::from_secs(20), async || {
        let counted = scene.counted(name).await.map_err(|error| error.to_string())?;
        if counted == (orders, orders) { Ok(()) } else { Err(format!("{counted:?}")) }
    })
    .await?;
    Ok(())
}

async fn until_projected(scene: &Scene, orders: i64) -> Result<()> {
    wait::until("order_summary", Duration::from_secs(20), async || {
        match scene.count("order_summary").await {
            Ok(count) if count == orders => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    Ok(())
}

async fn scene() -> Result<Scene> {
    let scene = Scene::create().await?;
    for name in ["good", "bad"] {
        scene.create_counts(name).await?;
    }
    Ok(scene)
}

/// Emits events while `bad` is stuck. The others must handle them, and `bad` must say that it fails.
async fn others_go_on(scene: &Scene, address: SocketAddr, is_failing: &str) -> Result<()> {
    let events: Vec<_> = (1..=100).map(|order| event(order, 1)).collect();
    scene.emit_all(&events).await?;
    until_projected(scene, 100).await?;
    until_counted(scene, "good", 100).await?;
    until_metric(address, is_failing, |value| value > 0.0).await?;
    assert_eq!(metric(address, "orders_subscription_lag_events{subscription=\"good\"}").await?, 0.0);
    assert_eq!(metric(address, "orders_subscription_failures{subscription=\"good\"}").await?, 0.0);
    assert_eq!(metric(address, "orders_projector_batches_failed_total").await?, 0.0);
    Ok(())
}

const FAILURES: &str = "orders_subscription_failures{subscription=\"bad\"}";
const LAG: &str = "orders_subscription_lag_events{subscription=\"bad\"}";

#[tokio::test]
async fn a_read_model_whose_table_is_locked_stops_only_itself_and_catches_up() -> Result<()> {
    let scene = scene().await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.batch_execute("LOCK TABLE bad IN ACCESS EXCLUSIVE MODE").await?;
    let running = Running::start(&scene, vec![Box::new(Counts("good")), Box::new(Counts("bad"))])?;
    others_go_on(&scene, running.address, FAILURES).await?;
    assert_eq!(metric(running.address, LAG).await?, 100.0);
    assert_eq!(scene.count("subscription_parked").await?, 0, "an outage parks nothing");
    lock.rollback().await?;
    until_counted(&scene, "bad", 100).await?;
    until_metric(running.address, FAILURES, |failures| failures == 0.0).await?;
    running.stop().await
}

#[tokio::test]
async fn a_read_model_whose_table_was_dropped_stops_only_itself_and_catches_up() -> Result<()> {
    let scene = scene().await?;
    scene.session.batch_execute("DROP TABLE bad").await?;
    let running = Running::start(&scene, vec![Box::new(Counts("good")), Box::new(Counts("bad"))])?;
    others_go_on(&scene, running.address, FAILURES).await?;
    assert_eq!(scene.count("subscription_parked").await?, 0, "an outage parks nothing");
    let error: String = scene
        .session
        .query_one("SELECT coalesce(last_error, '') FROM subscriptions WHERE name = 'bad'", &[])
        .await?
        .get(0);
    ensure!(error.contains("relation \"bad\" does not exist"), "{error}");
    scene.create_counts("bad").await?;
    until_counted(&scene, "bad", 100).await?;
    running.stop().await
}

/// The server processes of the projector's connections.
async fn backends(scene: &Scene) -> Result<BTreeSet<i32>> {
    let backends = "SELECT pid FROM pg_stat_activity
                    WHERE datname = current_database() AND usename = 'orders_projector'";
    let rows = scene.session.query(backends, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn a_read_model_that_fails_costs_no_other_its_connections() -> Result<()> {
    let scene = scene().await?;
    scene.session.batch_execute("DROP TABLE bad").await?;
    let running = Running::start(&scene, vec![Box::new(Counts("good")), Box::new(Counts("bad"))])?;
    others_go_on(&scene, running.address, FAILURES).await?;
    let before = backends(&scene).await?;
    until_metric(running.address, FAILURES, |failures| failures >= 5.0).await?;
    let after = backends(&scene).await?;
    let gone: Vec<_> = before.difference(&after).collect();
    assert!(before.len() > 4 && gone.len() <= 1, "{gone:?} of {before:?}: only its own may go");
    running.stop().await
}

/// Never comes back, without a statement that PostgreSQL could cancel.
fn hangs() -> BoxFuture<'static, QueryResult<()>> {
    std::future::pending().boxed()
}

#[expect(clippy::panic, reason = "this projection must panic")]
fn panics() -> BoxFuture<'static, QueryResult<()>> {
    panic!("a bug in a projection")
}

#[tokio::test]
async fn a_read_model_that_hangs_stops_only_itself() -> Result<()> {
    let scene = scene().await?;
    let bad = After(Counts("bad"), hangs);
    let running = Running::start(&scene, vec![Box::new(Counts("good")), Box::new(bad)])?;
    others_go_on(&scene, running.address, FAILURES).await?;
    running.stop().await
}

#[tokio::test]
async fn a_read_model_that_panics_stops_only_itself() -> Result<()> {
    let scene = scene().await?;
    let bad = After(Counts("bad"), panics);
    let running = Running::start(&scene, vec![Box::new(Counts("good")), Box::new(bad)])?;
    others_go_on(&scene, running.address, FAILURES).await?;
    let error: String =
        scene.session.query_one("SELECT last_error FROM subscriptions WHERE name = 'bad'", &[]).await?.get(0);
    assert_eq!(error, "the listener panicked");
    running.stop().await
}

/// Refuses all events, as a projection with too narrow a rule does.
struct RefusesAll;

impl Projection for RefusesAll {
    fn name(&self) -> &'static str {
        "bad"
    }

    fn refuses(&self, _event: &OrderEvent) -> Option<String> {
        Some("no".to_owned())
    }

    fn apply<'a>(
        &'a self,
        _: &'a mut AsyncPgConnection,
        _: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        std::future::ready(Ok(())).boxed()
    }
}

#[tokio::test]
async fn a_read_model_that_refuses_everything_parks_only_its_own_events() -> Result<()> {
    let scene = scene().await?;
    let running = Running::start(&scene, vec![Box::new(Counts("good")), Box::new(RefusesAll)])?;
    let parked = "orders_subscription_parked_events{subscription=\"bad\",state=\"retrying\"}";
    others_go_on(&scene, running.address, parked).await?;
    until_metric(running.address, parked, |parked| parked == 100.0).await?;
    assert_eq!(scene.count("parked_events").await?, 0);
    running.stop().await
}

#[tokio::test]
async fn two_read_models_with_one_name_are_refused_at_the_start() -> Result<()> {
    let scene = scene().await?;
    let Err(error) = Running::start(&scene, vec![Box::new(Counts("good")), Box::new(Counts("good"))]) else {
        panic!("they would take each other's events");
    };
    ensure!(format!("{error:#}").contains("there are two read models named good"), "{error:#}");
    Ok(())
}
