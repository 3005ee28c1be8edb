//! Subscriptions in running projectors: several processes, lost ones, pausing, listeners.

use std::time::Duration;

use anyhow::Result;
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::event_log::{EventLog, LoggedEvent};
use projector::subscription::{Listener, Pace, Task};
use testkit::wait;
use tokio_util::sync::CancellationToken;

use super::alone::{Running, until_counted};
use super::support::Counts;
use crate::metrics::{metric, until_metric};
use crate::support::{Scene, event};

async fn emit(scene: &Scene, orders: std::ops::RangeInclusive<u128>) -> Result<()> {
    let events: Vec<_> = orders.map(|order| event(order, 1)).collect();
    scene.emit_all(&events).await
}

#[tokio::test]
async fn two_processes_share_a_subscription_and_one_goes_on_when_the_other_stops() -> Result<()> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    let one = Running::start(&scene, vec![Box::new(Counts("counts"))])?;
    let other = Running::start(&scene, vec![Box::new(Counts("counts"))])?;
    for round in 0..10 {
        emit(&scene, round * 50 + 1..=round * 50 + 50).await?;
    }
    until_counted(&scene, "counts", 500).await?;
    one.stop().await?;
    emit(&scene, 501..=600).await?;
    until_counted(&scene, "counts", 600).await?;
    other.stop().await
}

#[tokio::test]
async fn a_new_read_model_starts_at_the_oldest_event_of_the_log() -> Result<()> {
    let scene = Scene::create().await?;
    emit(&scene, 1..=20).await?;
    scene.log_all().await?;
    scene.create_counts("counts").await?;
    let running = Running::start(&scene, vec![Box::new(Counts("counts"))])?;
    until_counted(&scene, "counts", 20).await?;
    running.stop().await
}

#[tokio::test]
async fn a_subscription_that_is_paused_and_set_back_in_a_running_process_does_both() -> Result<()> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    let running = Running::start(&scene, vec![Box::new(Counts("counts"))])?;
    emit(&scene, 1..=20).await?;
    until_counted(&scene, "counts", 20).await?;
    let paused = "orders_subscription_state{subscription=\"counts\",state=\"paused\"}";
    scene.session.batch_execute("UPDATE subscriptions SET state = 'paused'").await?;
    until_metric(running.address, paused, |value| value == 1.0).await?;
    emit(&scene, 21..=30).await?;
    let lag = "orders_subscription_lag_events{subscription=\"counts\"}";
    until_metric(running.address, lag, |value| value == 10.0).await?;
    scene
        .session
        .batch_execute(
            "TRUNCATE counts;
             UPDATE subscription_checkpoints SET checkpoint = 0;
             UPDATE subscriptions SET state = 'running'",
        )
        .await?;
    until_counted(&scene, "counts", 30).await?;
    assert_eq!(metric(running.address, paused).await?, 0.0);
    running.stop().await
}

#[tokio::test]
async fn a_subscription_whose_events_are_gone_is_lost_and_says_so() -> Result<()> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    emit(&scene, 1..=3).await?;
    scene.log_all().await?;
    scene.session.batch_execute("UPDATE event_log_state SET missing_up_to = 2").await?;
    let running = Running::start(&scene, vec![Box::new(Counts("counts"))])?;
    let lost = "orders_subscription_state{subscription=\"counts\",state=\"lost\"}";
    until_metric(running.address, lost, |value| value == 1.0).await?;
    assert_eq!(scene.count("counts").await?, 0, "nothing after the gap is handled");
    running.stop().await
}

/// As after the outbox, but not this table, was restored from a backup.
#[tokio::test]
async fn a_checkpoint_that_this_database_never_allocated_is_lost_instead_of_skipping_events() -> Result<()> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    emit(&scene, 1..=3).await?;
    scene.log_all().await?;
    scene.session.batch_execute("UPDATE subscription_checkpoints SET checkpoint = 9").await?;
    let running = Running::start(&scene, vec![Box::new(Counts("counts"))])?;
    wait::until("the reason", Duration::from_secs(30), async || {
        let reason = scene.session.query_one("SELECT last_error FROM subscriptions", &[]).await;
        let reason: Option<String> = reason.map_err(|error| error.to_string())?.get(0);
        match reason.as_deref() {
            Some("the checkpoint 9 is beyond 3, the newest position of this database") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    running.stop().await
}

#[tokio::test]
async fn a_subscription_that_was_removed_is_not_created_again_by_the_running_process() -> Result<()> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.create_counts("other").await?;
    let running = Running::start(&scene, vec![Box::new(Counts("counts")), Box::new(Counts("other"))])?;
    emit(&scene, 1..=3).await?;
    until_counted(&scene, "counts", 3).await?;
    let lag = "orders_subscription_lag_events{subscription=\"counts\"}";
    until_metric(running.address, lag, |lag| lag == 0.0).await?;
    scene.session.batch_execute("DELETE FROM subscriptions WHERE name = 'counts'").await?;
    emit(&scene, 4..=6).await?;
    until_counted(&scene, "other", 6).await?;
    until_metric(running.address, lag, f64::is_nan).await?;
    assert_eq!((scene.count("subscriptions").await?, scene.count("counts").await?), (1, 3));
    running.stop().await
}

/// Stores positions, as the feeder of a webhook does.
struct Positions;

impl Listener for Positions {
    fn name(&self) -> &'static str {
        "positions"
    }

    fn handle<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [LoggedEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            let positions: Vec<_> = events.iter().map(|event| event.position).collect();
            let insert = diesel::sql_query("INSERT INTO positions SELECT unnest($1)");
            RunQueryDsl::execute(insert.bind::<Array<BigInt>, _>(positions), connection).await.map(drop)
        }
        .boxed()
    }
}

#[tokio::test]
async fn another_listener_gets_each_event_once_by_position_and_goes_on_after_failures() -> Result<()> {
    let scene = Scene::create().await?;
    scene.subscribe("positions").await?;
    emit(&scene, 1..=30).await?;
    scene.log_all().await?;
    let stop = CancellationToken::new();
    let pace = Pace {
        event_log: EventLog::default(),
        batch_max: 4,
        batch_max_bytes: 1 << 20,
        poll_max: Duration::from_millis(20),
        stop: stop.clone(),
    };
    let task = tokio::spawn(Task::listener(scene.open_one()?, Box::new(Positions), pace).run());
    wait::until("a failure", Duration::from_secs(30), async || {
        let failures = scene.session.query_one("SELECT failures FROM subscriptions", &[]).await;
        let failures: i32 = failures.map_err(|error| error.to_string())?.get(0);
        if failures > 0 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await?;
    let table = "CREATE TABLE positions (position bigint PRIMARY KEY);
                 GRANT INSERT ON positions TO orders_projector";
    scene.session.batch_execute(table).await?;
    wait::until("all positions", Duration::from_secs(30), async || match scene.count("positions").await {
        Ok(30) => Ok(()),
        other => Err(other),
    })
    .await?;
    // As after `skip` and `parked retry` of two events, of which one still fails.
    let parked = "INSERT INTO subscription_parked (subscription, position, kind, payload, recorded_at, attempts, error)
                  VALUES ('positions', 31, 'k', '{}', now(), 0, 'skipped'),
                         ('positions', 1, 'k', '{}', now(), 0, 'skipped')";
    scene.session.batch_execute(parked).await?;
    wait::until("the parked events to be tried", Duration::from_secs(30), async || {
        let left = "SELECT count(*), count(next_attempt_at), max(attempts) FROM subscription_parked";
        let left = scene.session.query_one(left, &[]).await.map_err(|error| error.to_string())?;
        let left = (left.get::<_, i64>(0), left.get::<_, i64>(1), left.get::<_, Option<i32>>(2));
        if left == (1, 0, Some(1)) { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await?;
    assert_eq!(scene.count("positions").await?, 31);
    stop.cancel();
    task.await?;
    Ok(())
}
