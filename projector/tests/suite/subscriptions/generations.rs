//! A batch follows the checkpoint that the batch before has committed, however close they are.

use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;
use projector::batch::BatchError;
use projector::subscription::{Handled, Progress};
use testkit::wait;

use super::support::{After, Counts, run_to_end};
use crate::support::{Scene, event};

async fn scene(orders: u128) -> Result<Scene> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    scene.emit_all(&(1..=orders).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    scene.log_all().await?;
    Ok(scene)
}

/// The first statement that reads a row of `subscriptions` waits for the advisory lock 42, after it has taken its
/// snapshot and before it locks the row.
const FIRST_READER_WAITS: &str = "
    CREATE SEQUENCE readers;
    CREATE FUNCTION first_reader_waits() RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET lock_timeout = 0 AS $$
    BEGIN
        IF nextval('public.readers') = 1 THEN
            PERFORM pg_advisory_xact_lock(42);
        END IF;
        RETURN true;
    END $$;
    ALTER TABLE subscriptions RENAME TO locked_subscriptions;
    CREATE VIEW subscriptions AS SELECT * FROM locked_subscriptions WHERE first_reader_waits();
    GRANT SELECT, UPDATE ON subscriptions TO orders_projector;";

/// Its snapshot is older than its lock: in that snapshot the checkpoint of the batch before is not moved yet.
#[tokio::test]
async fn a_worker_whose_snapshot_is_older_than_the_batch_before_handles_nothing_twice() -> Result<()> {
    let scene = scene(3).await?;
    scene.session.batch_execute(FIRST_READER_WAITS).await?;
    let holder = scene.database.connect().await?;
    holder.batch_execute("SELECT pg_advisory_lock(42)").await?;
    let late = scene.steps(Counts("counts"))?;
    let late = tokio::spawn(async move { late.run_once(10).await });
    wait::until("the late worker to wait", Duration::from_secs(30), async || {
        let waits = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
                     WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";
        let waits = scene.session.query_one(waits, &[]).await.map_err(|error| error.to_string())?;
        if waits.get::<_, i64>(0) == 1 { Ok(()) } else { Err("it does not wait".to_owned()) }
    })
    .await?;

    assert_eq!(run_to_end(&scene.steps(Counts("counts"))?, 10).await?, 3);
    holder.batch_execute("SELECT pg_advisory_unlock(42)").await?;
    let progress = late.await??;
    let Progress::Handled(Handled { events: 0, checkpoint: 3, .. }) = progress else {
        panic!("{progress:?}")
    };
    assert_eq!(scene.counted("counts").await?, (3, 3));
    Ok(())
}

/// Should two ever work at once, one of them commits.
#[tokio::test]
async fn a_batch_is_rolled_back_if_its_checkpoint_was_moved_meanwhile() -> Result<()> {
    let scene = scene(2).await?;
    let (other, moved) =
        (scene.database.connect().await?, "UPDATE subscription_checkpoints SET generation = generation + 1");
    let other = std::sync::Arc::new(other);
    let steps = scene.steps(After(Counts("counts"), move || {
        let other = std::sync::Arc::clone(&other);
        async move {
            other
                .batch_execute(moved)
                .await
                .map_err(|error| diesel::result::Error::QueryBuilderError(Box::new(error)))
        }
        .boxed()
    }))?;
    let refused = steps.run_once(10).await;
    let Err(BatchError::Database(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(
        error.to_string(),
        "another transaction has moved the checkpoint of a locked subscription, one of [\"counts\"]"
    );
    assert_eq!(scene.counted("counts").await?, (0, 0));
    assert_eq!(run_to_end(&scene.steps(Counts("counts"))?, 10).await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_subscription_without_a_checkpoint_fails_and_is_listed() -> Result<()> {
    let scene = scene(2).await?;
    scene.session.batch_execute("DELETE FROM subscription_checkpoints").await?;
    let refused = scene.steps(Counts("counts"))?.run_once(10).await;
    let Err(BatchError::Database(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.to_string(), "the subscription \"counts\" has no checkpoint");
    let mut session = scene.open()?.session().await?;
    let listed = projector::subscription::operator::list(&mut session, "", 10).await?;
    assert_eq!(
        listed.iter().map(|status| (status.name.as_str(), status.lag_events)).collect::<Vec<_>>(),
        [("counts", 2)]
    );
    session.give_back();
    Ok(())
}
