//! While a long transaction keeps all dead rows, a batch of a subscription costs as much as before.

use anyhow::{Context, Result, ensure};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::try_join_all;
use projector::subscription::operator;
use serde_json::Value;
use tokio_postgres::{Client, IsolationLevel};

use super::support::{Counts, run_to_end};
use crate::support::{AT_ONCE, Scene, event};

const MOVE_CHECKPOINTS: &str = include_str!("../../../src/subscription/move_checkpoints.sql");
const MOVES: i64 = 20_000;

/// Moves the checkpoint to where it is, as that many batches do.
async fn move_checkpoint(session: &Client, times: i64) -> Result<()> {
    let newest = "SELECT generation, checkpoint, history FROM subscription_checkpoints";
    let newest = session.query_one(newest, &[]).await?;
    let (first, checkpoint, history): (i64, i64, i64) = (newest.get(0), newest.get(1), newest.get(2));
    let statement = session.prepare(MOVE_CHECKPOINTS).await?;
    let generations: Vec<_> = (first..first + times).collect();
    for generations in generations.chunks(500) {
        try_join_all(generations.iter().map(async |generation| {
            let (names, generations, checkpoints) = (vec!["counts"], vec![*generation], vec![checkpoint]);
            let moved = session.execute(&statement, &[&names, &generations, &checkpoints, &history]).await?;
            ensure!(moved == 1, "generation {generation} is gone");
            Ok(())
        }))
        .await?;
    }
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct Explained {
    #[diesel(sql_type = diesel::sql_types::Json, column_name = "QUERY PLAN")]
    plan: Value,
}

async fn pages_of(connection: &mut AsyncPgConnection, statement: &str) -> Result<u64> {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}");
    let explained: Explained = diesel::sql_query(explain).get_result(connection).await?;
    let pages =
        |kind| explained.plan.pointer(&format!("/0/Plan/Shared {kind} Blocks")).and_then(Value::as_u64);
    Ok(pages("Hit").context("no number of pages")? + pages("Read").context("no number of pages")?)
}

#[derive(diesel::QueryableByName)]
struct Prepared {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

/// The pages that the prepared statement `name` touches.
async fn pages_of_prepared(connection: &mut AsyncPgConnection, name: &str, arguments: &str) -> Result<u64> {
    let query = format!(
        "SELECT name FROM pg_prepared_statements WHERE split_part(statement, E'\\n', 1) = '-- {name}'"
    );
    let prepared: Prepared =
        diesel::sql_query(query).get_result(connection).await.context(name.to_owned())?;
    pages_of(connection, &format!("EXECUTE {}({arguments})", prepared.name)).await
}

#[tokio::test]
async fn under_an_old_snapshot_a_batch_does_not_read_the_checkpoints_of_earlier_ones() -> Result<()> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    scene.emit([event(1, 1)]).await?;
    scene.log_all().await?;
    let database = scene.open_one()?;
    let steps = Scene::steps_in(database.clone(), Counts("counts"), AT_ONCE);
    run_to_end(&steps, 10).await?;
    let mut connection = database.session().await?;
    operator::list(&mut connection, "", 10).await?;

    let mut pin = scene.database.connect().await?;
    let pin = pin.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    pin.query("SELECT 1", &[]).await?;
    move_checkpoint(&scene.session, MOVES).await?;

    let oldest = "SELECT checkpoint FROM subscription_checkpoints ORDER BY subscription, generation LIMIT 1";
    let from_oldest = pages_of(&mut connection, oldest).await?;
    ensure!(from_oldest > 100, "{from_oldest} pages: there are no dead rows, so the test proves nothing");
    let generation: i64 =
        scene.session.query_one("SELECT generation FROM subscription_checkpoints", &[]).await?.get(0);
    for (name, arguments) in [
        ("lock_subscriptions", "'{counts}', 120000".to_owned()),
        ("read_checkpoints", "'{counts}', '{0}'".to_owned()),
        ("move_checkpoints", format!("'{{counts}}', '{{{generation}}}', '{{1}}', 1")),
        ("list_subscriptions", "'', NULL, 10".to_owned()),
    ] {
        let pages = pages_of_prepared(&mut connection, name, &arguments).await?;
        assert!(pages < 50, "{name}: {pages} of {from_oldest} pages");
    }
    // One that is created again does not begin among the dead entries of the one before.
    scene.session.batch_execute("DELETE FROM subscriptions").await?;
    scene.subscribe("counts").await?;
    let pages = pages_of_prepared(&mut connection, "read_checkpoints", "'{counts}', '{0}'").await?;
    assert!(pages < 50, "created again: {pages} of {from_oldest} pages");
    pin.rollback().await?;
    Ok(())
}

#[tokio::test]
async fn only_failures_and_the_success_after_them_change_the_row_that_batches_lock() -> Result<()> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    let row = async || -> Result<(String, i32, Option<String>)> {
        let row = "SELECT ctid::text, failures, last_error FROM subscriptions";
        let row = scene.session.query_one(row, &[]).await?;
        Ok((row.get(0), row.get(1), row.get(2)))
    };
    let created = row().await?;
    let steps = scene.steps(Counts("counts"))?;
    for order in 1..=3 {
        scene.emit([event(order, 1)]).await?;
        scene.log_all().await?;
        assert_eq!(run_to_end(&steps, 10).await?, 1);
    }
    assert_eq!(row().await?, created, "no version of the row is made");
    scene.session.batch_execute("UPDATE subscriptions SET failures = 3, last_error = 'no luck'").await?;
    scene.emit([event(4, 1)]).await?;
    scene.log_all().await?;
    assert_eq!(run_to_end(&steps, 10).await?, 1);
    let (_, failures, last_error) = row().await?;
    assert_eq!((failures, last_error), (0, None));
    Ok(())
}
