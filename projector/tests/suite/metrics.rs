//! What `/metrics` reports.

use std::time::Duration;

use anyhow::{Context, Result};
use projector::{Config, Projector};
use testkit::wait;
use tokio_postgres::IsolationLevel;
use tokio_util::sync::CancellationToken;

use crate::support::{Scene, event};

/// The value of a metric, named with its labels.
pub(crate) async fn metric(address: std::net::SocketAddr, name: &str) -> Result<f64> {
    let text = reqwest::get(format!("http://{address}/metrics")).await?.error_for_status()?.text().await?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no {name} in:\n{text}"))?.parse()?)
}

/// Waits until a metric has the right value.
pub(crate) async fn until_metric(
    address: std::net::SocketAddr,
    name: &str,
    is_right: impl Fn(f64) -> bool,
) -> Result<()> {
    wait::until(name, Duration::from_secs(30), || async {
        match metric(address, name).await {
            Ok(value) if is_right(value) => Ok(()),
            other => Err(other.map_err(|error| error.to_string())),
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn metrics_report_applied_parked_and_waiting_events() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1), event(2, 1), event(3, 1)]).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    // One parked event is due, one is left for an operator.
    let parked = "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at)
                  VALUES (-1, 'order_gift_wrapped', '{}', now(), 3, 'the kind is not known', now()),
                         (-2, 'order_gift_wrapped', '{}', now(), 12, 'the kind is not known', NULL)";
    scene.session.batch_execute(parked).await?;
    let stop = CancellationToken::new();
    let projector =
        Projector::start(&Config::from_vars(&scene.vars())?, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());

    until_metric(address, "orders_projector_events_applied_total", |events| events == 3.0).await?;
    until_metric(address, "orders_projector_retries_total{outcome=\"parked_again\"}", |tried| tried == 1.0)
        .await?;
    for (name, expected) in [
        ("orders_projector_events_parked_total", 1.0),
        ("orders_projector_retries_total{outcome=\"applied\"}", 0.0),
        ("orders_projector_batches_failed_total", 0.0),
        ("orders_projector_batch_events_count", 1.0),
        ("orders_projector_batch_events_sum", 4.0),
        ("orders_projector_lag_seconds_count", 3.0),
        ("orders_outbox_backlog_events", 0.0),
        ("orders_outbox_oldest_event_age_seconds", 0.0),
        ("orders_waiting_events", 0.0),
        ("orders_parked_events{state=\"retrying\"}", 2.0),
        ("orders_parked_events{state=\"waiting_for_operator\"}", 1.0),
        ("orders_database_up", 1.0),
        ("orders_event_log_upkeep_failures_total", 0.0),
        ("orders_log_writable", 1.0),
    ] {
        assert_eq!(metric(address, name).await?, expected, "{name}");
    }
    let lag = metric(address, "orders_projector_lag_seconds_sum").await?;
    assert!(lag > 0.0 && lag < 60.0, "{lag} s");

    // Events that cannot be claimed stay in the backlog.
    let mut holder = scene.database.connect().await?;
    let holder = holder.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    scene.session.batch_execute("REVOKE DELETE ON outbox FROM orders_projection").await?;
    scene.emit([event(4, 1), event(5, 1)]).await?;
    holder.query("SELECT 1", &[]).await?;
    until_metric(address, "orders_projector_batches_failed_total", |failed| failed > 0.0).await?;
    until_metric(address, "orders_outbox_oldest_event_age_seconds", |age| age > 0.2).await?;
    until_metric(address, "orders_oldest_transaction_age_seconds", |age| age > 0.2).await?;
    assert_eq!(metric(address, "orders_outbox_backlog_events").await?, 2.0);
    holder.rollback().await?;
    // PostgreSQL's statistics lag.
    until_metric(address, "orders_outbox_dead_rows", |dead| dead > 0.0).await?;
    stop.cancel();
    running.await??;
    Ok(())
}

#[tokio::test]
async fn a_backlog_of_more_than_100000_events_is_estimated() -> Result<()> {
    let scene = Scene::create().await?;
    let rows = "INSERT INTO outbox (kind, payload) SELECT 'kind', '{}' FROM generate_series(1, 120000)";
    scene.session.batch_execute(rows).await?;
    let mut connection = scene.open()?.session().await?;
    let observed = projector::admin::observation::observe(&mut connection, 0).await?;
    assert_eq!(observed.backlog, 120_000);
    let observed = projector::admin::observation::observe(&mut connection, 119_000).await?;
    assert_eq!(observed.backlog, 1_001);
    Ok(())
}

#[tokio::test]
async fn failures_to_keep_the_event_log_in_order_are_counted() -> Result<()> {
    let scene = Scene::create().await?;
    let revoke = "REVOKE EXECUTE ON FUNCTION create_event_log_partitions() FROM orders_projection";
    scene.session.batch_execute(revoke).await?;
    let stop = CancellationToken::new();
    let projector =
        Projector::start(&Config::from_vars(&scene.vars())?, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());
    until_metric(address, "orders_event_log_upkeep_failures_total", |failures| failures > 0.0).await?;
    stop.cancel();
    running.await??;
    Ok(())
}

#[tokio::test]
async fn it_is_known_that_the_trigger_of_the_event_log_does_not_run() -> Result<()> {
    let scene = Scene::create().await?;
    let stop = CancellationToken::new();
    let projector =
        Projector::start(&Config::from_vars(&scene.vars())?, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());
    until_metric(address, "orders_event_log_trigger_runs", |runs| runs == 1.0).await?;
    scene.session.batch_execute("ALTER TABLE outbox DISABLE TRIGGER log_deleted_events").await?;
    until_metric(address, "orders_event_log_trigger_runs", |runs| runs == 0.0).await?;
    let probe = reqwest::get(format!("http://{address}/readyz")).await?;
    assert_eq!(probe.status(), reqwest::StatusCode::SERVICE_UNAVAILABLE);
    assert!(probe.text().await?.contains("The trigger that logs the events of the outbox does not run."));
    stop.cancel();
    running.await??;
    Ok(())
}
