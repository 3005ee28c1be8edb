//! For how long an endpoint is sent nothing.

use std::time::Duration;

use anyhow::Result;
use projector::webhooks::delivery::{self, FinishedAttempt};
use projector::webhooks::retry::DeliveryPolicy;

use super::support::{LIMITS, add, count, deliver, finish, finished, streak, take};
use crate::support::{Scene, event};

#[tokio::test]
async fn a_success_ends_the_pauses_between_probes_and_not_what_the_receiver_asked_for() -> Result<()> {
    for (retry_after, held) in [(None, 0), (Some(Duration::from_mins(30)), 1)] {
        let scene = Scene::create().await?;
        let mut connection = scene.open()?.session().await?;
        let id = add(&mut connection, "https://hooks.example/orders").await?.id;
        deliver(&mut connection, id, &[event(1, 1), event(2, 1)]).await?;
        let leased = take(&mut connection, id, LIMITS).await?;
        let refused = FinishedAttempt { retry_after, ..finished(&leased[0], 503) };
        let failing = "UPDATE webhook_endpoints SET failures = 19, failing_since = now() - interval '1 hour'";
        scene.session.batch_execute(failing).await?;
        let streak = streak(1, Duration::ZERO);
        let policy = DeliveryPolicy::default();
        delivery::finish(&mut connection, id, &[refused], streak, false, &policy).await?;
        let pauses = "webhook_endpoints WHERE hold_until > now() + interval '50 s'";
        assert_eq!(count(&scene, pauses).await?, 1, "{retry_after:?}");
        // Another request was in flight.
        finish(&mut connection, id, &[finished(&leased[1], 200)], &policy).await?;
        assert_eq!(
            count(&scene, "webhook_endpoints WHERE hold_until > now()").await?,
            held,
            "{retry_after:?}"
        );
    }
    Ok(())
}

/// A rewind adds an earlier event of the order again.
#[tokio::test]
async fn an_event_that_waits_long_after_it_was_refused_is_not_tried_before_that() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/orders").await?.id;
    deliver(&mut connection, id, &[1, 2, 3].map(|version| event(1, version))).await?;
    let later = "UPDATE deliveries SET next_attempt_at = now() + interval '1 hour';
        UPDATE deliveries SET next_attempt_at = now() WHERE position = 1;
        UPDATE deliveries SET failures = 1, first_failed_at = now() WHERE position = 2";
    scene.session.batch_execute(later).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    finish(&mut connection, id, &[finished(&leased[0], 500)], &DeliveryPolicy::default()).await?;
    let waits = "deliveries WHERE next_attempt_at > now() + interval '50 min'";
    assert_eq!(count(&scene, &format!("{waits} AND position = 2")).await?, 1);
    assert_eq!(count(&scene, waits).await?, 1);
    Ok(())
}
