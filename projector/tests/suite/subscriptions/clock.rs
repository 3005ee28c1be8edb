//! The clock was ahead, and was corrected: times that were stored meanwhile delay nothing.

use anyhow::Result;
use projector::batch::BatchOutcome;
use projector::subscription::Progress;

use super::support::{Counts, run_to_end};
use crate::support::{AT_ONCE, LATER, Scene, event};

async fn scene() -> Result<Scene> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    scene.emit([event(1, 1)]).await?;
    scene.log_all().await?;
    Ok(scene)
}

#[tokio::test]
async fn a_subscription_goes_on_at_once_after_the_clock_was_ahead() -> Result<()> {
    let scene = scene().await?;
    let steps = scene.steps(Counts("counts"))?;
    // The longest pause, with all of its jitter.
    scene.session.batch_execute("UPDATE subscriptions SET next_attempt_at = now() + interval '60 s'").await?;
    assert_eq!(steps.run_once(10).await?, Progress::NotClaimed);
    scene
        .session
        .batch_execute("UPDATE subscriptions SET next_attempt_at = now() + interval '1 hour'")
        .await?;
    assert_eq!(run_to_end(&steps, 10).await?, 1);
    Ok(())
}

#[tokio::test]
async fn parked_events_of_a_subscription_are_tried_again_after_the_clock_was_ahead() -> Result<()> {
    let scene = scene().await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    scene.log_all().await?;
    let steps = scene.steps_with_retries(Counts("counts"), LATER)?;
    run_to_end(&steps, 10).await?;
    // The longest pause is nine hours, and as much jitter.
    for (pause, expected) in [
        ("18 hours", BatchOutcome::Empty),
        ("30 days", BatchOutcome::Committed { applied: 0, parked: 1, waiting: 0 }),
    ] {
        let postponed =
            format!("UPDATE subscription_parked SET next_attempt_at = now() + interval '{pause}'");
        scene.session.batch_execute(&postponed).await?;
        assert_eq!(steps.retry_parked_once(10).await?, expected, "{pause}");
    }
    Ok(())
}

#[tokio::test]
async fn events_that_are_due_come_before_those_of_a_clock_that_was_ahead() -> Result<()> {
    let scene = Scene::create().await?;
    for _ in 0..3 {
        scene.emit_raw("order_gift_wrapped", "{}").await?;
    }
    scene.worker(10)?.run_once().await?;
    let worker = scene.worker_with_retries(2, AT_ONCE)?;
    let ahead = "UPDATE parked_events
                 SET next_attempt_at = now() + CASE WHEN id = 3 THEN 0 ELSE 1 END * interval '1 day'";
    scene.session.batch_execute(ahead).await?;
    let both = BatchOutcome::Committed { applied: 0, parked: 2, waiting: 0 };
    assert_eq!(worker.retry_once().await?, both);
    let tried = "SELECT array_agg(id ORDER BY id) FROM parked_events WHERE attempts = 2";
    let tried: Vec<i64> = scene.session.query_one(tried, &[]).await?.get(0);
    assert_eq!(tried, [1, 3], "the second batch has the other one");
    Ok(())
}

#[tokio::test]
async fn parked_events_are_tried_again_after_the_clock_was_ahead() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    let worker = scene.worker(10)?;
    worker.run_once().await?;
    for (pause, expected) in [
        ("18 hours", BatchOutcome::Empty),
        ("30 days", BatchOutcome::Committed { applied: 0, parked: 1, waiting: 0 }),
    ] {
        let postponed = format!("UPDATE parked_events SET next_attempt_at = now() + interval '{pause}'");
        scene.session.batch_execute(&postponed).await?;
        assert_eq!(worker.retry_once().await?, expected, "{pause}");
    }
    Ok(())
}
