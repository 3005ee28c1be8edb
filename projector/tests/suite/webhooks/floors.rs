//! Statements do not search below the time before which nothing is due. It must never be too late.

use std::time::Instant;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use projector::database;
use projector::outbox::low_water_mark::queries::ServerRun;
use projector::webhooks::delivery::{self, Backlogs, Take, Writers};
use projector::webhooks::store;
use service_kit::database::DatabaseConfig;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};

use super::support::{LIMITS, add, count, deliver};
use crate::support::{Scene, event, vars_of};

/// A delivery that has been due for `ago`.
fn insert(endpoint: i64, ago: &str) -> String {
    format!(
        "INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at,
             next_attempt_at)
         VALUES ({endpoint}, 1, gen_random_uuid(), gen_random_uuid(), 'order_paid', '{{}}', now(), now(),
             now() - interval '{ago}')"
    )
}

/// As a running process does.
async fn poll(connection: &mut AsyncPgConnection, backlogs: &Backlogs) -> Result<bool> {
    store::settle(connection, backlogs).await?;
    let polled = store::poll(connection, backlogs).await?;
    Ok(polled.iter().any(|polled| polled.is_due))
}

async fn taken(connection: &mut AsyncPgConnection, endpoint: i64, backlogs: &Backlogs) -> Result<usize> {
    Ok(match delivery::take(connection, endpoint, LIMITS, backlogs).await? {
        Take::Taken(taken) => taken.deliveries.len(),
        Take::NotNow | Take::Locked => 0,
    })
}

async fn is_raised(connection: &mut AsyncPgConnection, endpoint: i64, backlogs: &Backlogs) -> Result<bool> {
    poll(connection, backlogs).await?;
    Ok(backlogs.floor(endpoint) > Utc::now() - TimeDelta::seconds(30))
}

/// Such as one whose commit waits for a standby that is away.
#[tokio::test]
async fn a_delivery_is_sent_however_late_its_transaction_ends() -> Result<()> {
    let scene = Scene::create().await?;
    let (database, writers) = (scene.open_one()?, scene.open_one()?);
    let (mut connection, mut writer) = (database.session().await?, writers.session().await?);
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    writer.batch_execute(&format!("BEGIN; {}", insert(id, "1 min"))).await?;

    let backlogs = Backlogs::default();
    for _ in 0..3 {
        assert!(!is_raised(&mut connection, id, &backlogs).await?, "it may still commit");
    }
    writer.batch_execute("COMMIT").await?;
    assert!(poll(&mut connection, &backlogs).await?);
    assert_eq!(taken(&mut connection, id, &backlogs).await?, 1);
    assert!(is_raised(&mut connection, id, &backlogs).await?);
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_waits_for_the_table_counts_as_a_writer() -> Result<()> {
    let scene = Scene::create().await?;
    let (database, writers) = (scene.open_one()?, scene.open_one()?);
    let (mut connection, mut writer) = (database.session().await?, writers.session().await?);
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    scene.session.batch_execute("BEGIN; LOCK TABLE deliveries IN SHARE MODE").await?;
    let insert = insert(id, "1 min");
    let insert = async { writer.batch_execute(&format!("SET lock_timeout = 0; {insert}")).await };
    let backlogs = Backlogs::default();
    let poll_and_unlock = async {
        super::support::until_count(
            &scene,
            "pg_locks WHERE NOT granted AND relation = 'deliveries'::regclass",
            1,
        )
        .await?;
        for _ in 0..3 {
            assert!(!is_raised(&mut connection, id, &backlogs).await?, "it may still commit");
        }
        scene.session.batch_execute("COMMIT").await?;
        Ok::<_, anyhow::Error>(())
    };
    let (inserted, polled) = tokio::join!(insert, poll_and_unlock);
    polled?;
    inserted?;
    poll(&mut connection, &backlogs).await?;
    assert_eq!(taken(&mut connection, id, &backlogs).await?, 1);
    Ok(())
}

/// A transaction may have begun long before it locks the table.
#[tokio::test]
async fn a_delivery_is_due_from_the_start_of_its_statement_on() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    connection.batch_execute("BEGIN").await?;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    connection.batch_execute("UPDATE deliveries SET recorded_at = now(); COMMIT").await?;
    assert_eq!(count(&scene, "deliveries WHERE next_attempt_at > recorded_at").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_an_operator_makes_due_is_found() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open_one()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    let backlogs = Backlogs::default();
    assert!(is_raised(&mut connection, id, &backlogs).await?);
    connection.batch_execute(&insert(id, "3 hours")).await?;
    assert!(!poll(&mut connection, &backlogs).await?, "no search below the floor");
    connection.batch_execute("UPDATE webhook_endpoints SET revision = revision + 1").await?;
    poll(&mut connection, &backlogs).await?;
    assert!(poll(&mut connection, &backlogs).await?);
    assert_eq!(taken(&mut connection, id, &backlogs).await?, 1);
    Ok(())
}

/// Such as a session to a server that was the primary before.
#[tokio::test]
async fn what_is_settled_on_one_server_says_nothing_of_a_poll_on_another() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open_one()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    let backlogs = Backlogs::default();
    let (run, answered) = (ServerRun { started: 1, stats_reset: 1 }, Instant::now());
    let another = Writers { transactions: Vec::new(), now: Utc::now(), run, asked: answered, answered };
    backlogs.settle(another);
    store::poll(&mut connection, &backlogs).await?;
    assert_eq!(backlogs.floor(id), DateTime::<Utc>::UNIX_EPOCH);
    assert!(is_raised(&mut connection, id, &backlogs).await?);
    Ok(())
}

/// It may have deliveries that had been sent, or were leased, on the other one.
#[tokio::test]
async fn what_was_due_long_ago_on_a_server_that_has_taken_over_is_sent() -> Result<()> {
    let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    let superuser = server.superuser_url("postgres");
    migrate::up(&superuser).await?;
    let config = DatabaseConfig::from_vars(&vars_of(&superuser))?;
    let mut connection = database::open_for_batches(&config, "test")?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    let backlogs = Backlogs::default();
    assert!(is_raised(&mut connection, id, &backlogs).await?);
    connection.batch_execute(&insert(id, "3 hours")).await?;
    assert!(!poll(&mut connection, &backlogs).await?, "no search below the floor");

    connection.batch_execute("SELECT pg_stat_reset_shared('archiver')").await?;
    assert!(poll(&mut connection, &backlogs).await?);
    assert_eq!(taken(&mut connection, id, &backlogs).await?, 1);
    assert!(is_raised(&mut connection, id, &backlogs).await?);
    Ok(())
}
