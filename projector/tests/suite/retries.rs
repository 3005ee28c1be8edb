//! Parked events are tried again, and left for an operator after the last attempt.

use anyhow::Result;
use projector::batch::BatchOutcome;

use crate::parking::{REFUSE_666, refused_by_trigger};
use crate::support::{AT_ONCE, Scene, drain, event, order_id};

/// The attempts of each parked event, and whether it is retried automatically.
async fn attempts(scene: &Scene) -> Result<Vec<(i32, bool)>> {
    let rows = "SELECT attempts, next_attempt_at IS NOT NULL FROM parked_events ORDER BY id";
    Ok(scene.session.query(rows, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

#[tokio::test]
async fn a_parked_event_is_tried_again_when_it_is_due_and_left_after_the_last_attempt() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    let later = scene.worker(10)?;
    later.run_once().await?;
    assert_eq!(later.retry_once().await?, BatchOutcome::Empty, "it is not due for an hour or two");
    let parked_at = "SELECT parked_at::text FROM parked_events";
    let first_parked_at: String = scene.session.query_one(parked_at, &[]).await?.get(0);

    scene.session.batch_execute("UPDATE parked_events SET next_attempt_at = now()").await?;
    let at_once = scene.worker_with_retries(10, AT_ONCE)?;
    assert_eq!(at_once.retry_once().await?, BatchOutcome::Committed { applied: 0, parked: 1, waiting: 0 });
    assert_eq!(attempts(&scene).await?, [(2, true)]);
    assert_eq!(at_once.retry_once().await?, BatchOutcome::Committed { applied: 0, parked: 1, waiting: 0 });
    assert_eq!(attempts(&scene).await?, [(AT_ONCE.attempts.try_into()?, false)]);
    assert_eq!(at_once.retry_once().await?, BatchOutcome::Empty, "it is left for an operator");
    assert_eq!(scene.session.query_one(parked_at, &[]).await?.get::<_, String>(0), first_parked_at);
    Ok(())
}

#[tokio::test]
async fn pauses_between_attempts_grow_and_end() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    worker.run_once().await?;
    let pause = "SELECT (extract(epoch FROM next_attempt_at - now()) / 3600)::float8 FROM parked_events";
    // One hour, doubled each time up to nine, plus up to 100 % jitter.
    for shortest in [1.0, 2.0, 4.0, 8.0] {
        let hours: f64 = scene.session.query_one(pause, &[]).await?.get(0);
        assert!((shortest - 0.1..=2.0 * shortest).contains(&hours), "{hours} hours instead of {shortest}");
        scene.session.batch_execute("UPDATE parked_events SET next_attempt_at = now()").await?;
        worker.retry_once().await?;
    }
    assert_eq!(attempts(&scene).await?, [(5, false)]);
    Ok(())
}

#[tokio::test]
async fn a_parked_event_that_becomes_projectable_takes_effect_once() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    scene.emit([refused_by_trigger(1), event(2, 1)]).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    let worker = scene.worker_with_retries(10, AT_ONCE)?;
    assert_eq!(drain(&worker).await?, (1, 2));

    scene.session.batch_execute("DROP TRIGGER refuse_666 ON order_summary").await?;
    assert_eq!(worker.retry_once().await?, BatchOutcome::Committed { applied: 1, parked: 1, waiting: 0 });
    assert_eq!((scene.count("parked_events").await?, scene.count("order_summary").await?), (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_retried_old_event_does_not_undo_newer_ones() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    let worker = scene.worker_with_retries(10, AT_ONCE)?;
    scene.emit([refused_by_trigger(1)]).await?;
    assert_eq!(drain(&worker).await?, (0, 1));
    scene.emit([event(1, 2)]).await?;
    assert_eq!(drain(&worker).await?, (1, 0));
    scene.session.batch_execute("DROP TRIGGER refuse_666 ON order_summary").await?;
    assert_eq!(worker.retry_once().await?, BatchOutcome::Committed { applied: 1, parked: 0, waiting: 0 });
    assert_eq!(scene.summaries().await?, [(order_id(1).to_string(), 2, "paid".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn an_outage_uses_no_attempt_of_a_parked_event() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker_with_retries(10, AT_ONCE)?;
    scene.session.batch_execute(REFUSE_666).await?;
    scene.emit([refused_by_trigger(1)]).await?;
    worker.run_once().await?;
    scene.session.batch_execute("REVOKE INSERT ON order_summary FROM orders_projection").await?;
    worker.retry_once().await.unwrap_err();
    assert_eq!(attempts(&scene).await?, [(1, true)]);
    Ok(())
}
