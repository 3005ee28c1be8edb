//! The clock was ahead, and was corrected: times that were stored meanwhile delay no delivery.

use std::time::Duration;

use anyhow::Result;
use projector::webhooks::delivery;
use projector::webhooks::store::correct_times;

use super::support::{FAST, LIMITS, add, count, deliver, finished, positions, take};
use crate::support::{Scene, event};

const LATEST: Duration = Duration::from_hours(3);
const LATEST_LEASE: Duration = Duration::from_mins(2);

#[tokio::test]
async fn what_waits_for_longer_than_any_pause_or_lease_is_due() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[1, 2, 3, 4].map(|order| event(order, 1))).await?;
    let ahead = "UPDATE webhook_endpoints SET hold_until = now() + interval '4 hours';
        UPDATE deliveries SET next_attempt_at = now() + interval '4 hours' WHERE position = 1;
        UPDATE deliveries SET next_attempt_at = now() + interval '5 min', leased_until = now() + interval '5 min'
            WHERE position = 2;
        UPDATE deliveries SET next_attempt_at = now() + interval '2 hours' WHERE position = 3;
        UPDATE deliveries SET next_attempt_at = now() + interval '1 min', leased_until = now() + interval '1 min'
            WHERE position = 4";
    scene.session.batch_execute(ahead).await?;
    assert!(take(&mut connection, id, LIMITS).await?.is_empty());

    correct_times(&mut connection, id, LATEST, LATEST_LEASE).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    assert_eq!(positions(&leased), [1, 2], "a pause and a lease that can be right stay");
    // A hold that can be right stays too.
    scene
        .session
        .batch_execute("UPDATE webhook_endpoints SET hold_until = now() + interval '2 hours'")
        .await?;
    correct_times(&mut connection, id, LATEST, LATEST_LEASE).await?;
    assert_eq!(count(&scene, "webhook_endpoints WHERE hold_until > now()").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_first_failure_that_was_recorded_while_the_clock_was_ahead_counts_from_now_on() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    for _ in 0..2 {
        let due = "UPDATE webhook_endpoints SET hold_until = '-infinity';
                   UPDATE deliveries SET next_attempt_at = now()";
        scene.session.batch_execute(due).await?;
        let leased = take(&mut connection, id, LIMITS).await?;
        delivery::finish(&mut connection, id, &[finished(&leased[0], 500)], 0, &FAST).await?;
        let ahead = "UPDATE webhook_endpoints SET failing_since = failing_since + interval '30 days';
                     UPDATE deliveries SET first_failed_at = first_failed_at + interval '30 days'";
        scene.session.batch_execute(ahead).await?;
    }
    let in_30_days = "first_failed_at < now() + interval '31 days'";
    assert_eq!(count(&scene, &format!("deliveries WHERE {in_30_days}")).await?, 1);
    let in_30_days = "failing_since < now() + interval '31 days'";
    assert_eq!(count(&scene, &format!("webhook_endpoints WHERE {in_30_days}")).await?, 1);
    Ok(())
}
