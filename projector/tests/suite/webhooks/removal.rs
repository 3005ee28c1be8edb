//! An endpoint is removed while its events are handled.

use anyhow::Result;
use projector::webhooks::operator;
use service_kit::database::DatabaseConfig;
use testkit::wait;

use super::support::{FAST, LIMIT, LIMITS, OVER, add, count, deliver, finish, finished, refused_for, take};
use crate::support::{Scene, event};

const URL: &str = "https://hooks.example/orders";

/// Waits until this many sessions wait for a lock.
async fn until_waiting(scene: &Scene, sessions: i64) -> Result<()> {
    let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let reached = wait::until("sessions to wait", LIMIT, async || match count(scene, waiting).await {
        Ok(found) if found == sessions => Ok(()),
        other => Err(other),
    });
    Ok(reached.await?)
}

#[tokio::test]
async fn an_endpoint_is_removed_while_an_event_is_given_up_and_neither_fails() -> Result<()> {
    let scene = Scene::create().await?;
    // As the senders and the command: without the short limit of batches for locks.
    let database = projector::database::open(&DatabaseConfig::from_vars(&scene.vars())?, "test")?;
    let (mut sender, mut command) = (database.session().await?, database.session().await?);
    let id = add(&mut sender, URL).await?.id;
    deliver(&mut sender, id, &[event(1, 1)]).await?;
    let leased = take(&mut sender, id, OVER).await?;
    finish(&mut sender, id, &[finished(&leased[0], 422)], &FAST).await?;
    refused_for(&scene, "73 hours", 25).await?;
    let leased = take(&mut sender, id, LIMITS).await?;
    let mut holder = scene.database.connect().await?;
    let held = holder.transaction().await?;
    held.execute("SELECT FROM deliveries FOR UPDATE", &[]).await?;
    let attempts = [finished(&leased[0], 422)];
    let (given_up, removed, released) = tokio::join!(
        finish(&mut sender, id, &attempts, &FAST),
        async {
            until_waiting(&scene, 1).await?;
            Ok::<_, anyhow::Error>(operator::remove(&mut command, id).await?)
        },
        async {
            until_waiting(&scene, 2).await?;
            Ok::<_, anyhow::Error>(held.rollback().await?)
        },
    );
    released?;
    assert_eq!((given_up?.parked, removed?.as_deref()), (vec![1], Some(URL)));
    for table in ["webhook_endpoints", "subscriptions", "subscription_parked", "deliveries"] {
        assert_eq!(count(&scene, table).await?, 0, "{table}");
    }
    Ok(())
}
