//! Sessions whose prepared statements break while the projector runs.

use std::time::Duration;

use anyhow::Result;
use projector::{Config, Projector};
use testkit::column_changes::column_changes;
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{Scene, event, order_id, vars_of};

/// From the change of a column to the projection of the next event, on a busy machine.
const SOON: Duration = Duration::from_secs(3);

pub(crate) fn start(database_url: &str) -> Result<(String, DropGuard)> {
    let mut vars = vars_of(database_url);
    for (name, value) in [("PARKED_RETRY_FIRST_MS", "1"), ("DATABASE_LOCK_TIMEOUT_MS", "50")] {
        vars.push((name.to_owned(), value.to_owned()));
    }
    let stop = CancellationToken::new();
    let projector = Projector::start(&Config::from_vars(&vars)?, projector::projections(), stop.clone())?;
    let admin_url = format!("http://{}", projector.address());
    tokio::spawn(projector.run());
    Ok((admin_url, stop.drop_guard()))
}

/// Emits an event that is projected and one that is parked, and waits for both.
pub(crate) async fn project_and_park(scene: &Scene, number: u128) -> Result<()> {
    let expected = i64::try_from(number)?;
    scene.emit([event(number, 1)]).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    wait::until("the next event to be projected and one to be parked", SOON, || async {
        let counts = (scene.count("order_summary").await, scene.count("parked_events").await);
        if matches!(counts, (Ok(s), Ok(p)) if s == expected && p == expected) { Ok(()) } else { Err(counts) }
    })
    .await?;
    Ok(())
}

/// Makes the next event of an order wait for a lock on its row, and checks that it is applied afterwards.
async fn wait_and_apply(scene: &Scene, number: u128) -> Result<()> {
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute("SELECT FROM order_summary FOR UPDATE", &[]).await?;
    scene.emit([event(number, 2)]).await?;
    until_waiting(scene, 1).await?;
    lock.rollback().await?;
    until_waiting(scene, 0).await?;
    let applied = format!("order_summary WHERE version = 2 AND order_id = '{}'", order_id(number));
    assert_eq!(scene.count(&applied).await?, 1);
    Ok(())
}

async fn until_waiting(scene: &Scene, expected: i64) -> Result<()> {
    wait::until("the number of waiting events", SOON, || async {
        let count = scene.count("waiting_events").await;
        if matches!(count, Ok(count) if count == expected) { Ok(()) } else { Err(count) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_changed_column_type_delays_projection_only_briefly() -> Result<()> {
    let scene = Scene::create().await?;
    let _stop = start(&scene.database.url("orders_projector"))?;
    let mut numbers = 1..;
    for change in column_changes(&scene.session, "orders_projector").await? {
        let number = numbers.next().unwrap_or_default();
        project_and_park(&scene, number).await?;
        // All statements on the table run before this change and after the previous one.
        if change.table == "waiting_events" {
            wait_and_apply(&scene, number).await?;
        }
        scene.session.batch_execute(&change.statement).await?;
    }
    let number = numbers.next().unwrap_or_default();
    project_and_park(&scene, number).await?;
    wait_and_apply(&scene, number).await
}

#[tokio::test]
async fn discarding_the_prepared_statements_of_every_session_stops_no_projection() -> Result<()> {
    let database = TestDatabase::create().await?;
    let (proxy, url) = database.behind_a_proxy("orders_projector").await?;
    let session = database.connect().await?;
    let scene = Scene { database, session };
    let _stop = start(&url)?;
    for number in 1..6 {
        project_and_park(&scene, number).await?;
        proxy.discard_all();
    }
    project_and_park(&scene, 6).await
}
