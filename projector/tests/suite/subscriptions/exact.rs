//! Each event takes effect once: effect and checkpoint commit together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use diesel::result::Error as DieselError;
use futures_util::FutureExt;
use futures_util::future::try_join_all;
use projector::batch::BatchError;
use projector::subscription::Progress;
use testkit::wait;
use tokio::sync::Notify;

use super::support::{After, Counts, run_to_end};
use crate::support::{Scene, event};

/// A subscription `counts`, and this many events in the log.
async fn scene(orders: u128) -> Result<Scene> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    let events: Vec<_> = (1..=orders).map(|order| event(order, 1)).collect();
    scene.emit_all(&events).await?;
    scene.log_all().await?;
    Ok(scene)
}

#[tokio::test]
async fn a_read_model_gets_each_event_once_in_batches_of_any_size() -> Result<()> {
    let scene = scene(80).await?;
    let steps = scene.steps(Counts("counts"))?;
    assert_eq!(run_to_end(&steps, 7).await?, 80);
    assert_eq!(scene.counted("counts").await?, (80, 80));
    scene.emit([event(1, 2)]).await?;
    scene.log_all().await?;
    assert_eq!(run_to_end(&steps, 7).await?, 1);
    assert_eq!(scene.counted("counts").await?, (80, 81));
    Ok(())
}

#[tokio::test]
async fn the_counts_are_exact_although_batches_of_several_workers_fail_after_they_have_written() -> Result<()>
{
    let scene = scene(400).await?;
    let (calls, failures) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let work = async || {
        let calls = Arc::clone(&calls);
        let steps = scene.steps(After(Counts("counts"), move || {
            let fails = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
            let result = if fails { Err(DieselError::BrokenTransactionManager) } else { Ok(()) };
            std::future::ready(result).boxed()
        }))?;
        while scene.counted("counts").await?.0 < 400 {
            match steps.run_once(20).await {
                Ok(_) => {}
                Err(BatchError::Projection { .. }) => drop(failures.fetch_add(1, Ordering::Relaxed)),
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::Ok(())
    };
    try_join_all([work(), work(), work()]).await?;
    ensure!(failures.load(Ordering::Relaxed) >= 5, "too few batches failed");
    assert_eq!(scene.counted("counts").await?, (400, 400));
    Ok(())
}

#[tokio::test]
async fn one_worker_runs_at_a_time_and_another_goes_on_when_it_is_killed() -> Result<()> {
    let scene = scene(3).await?;
    let reached = Arc::new(Notify::new());
    let signal = Arc::clone(&reached);
    let hangs = scene.steps(After(Counts("counts"), move || {
        signal.notify_one();
        std::future::pending().boxed()
    }))?;
    let hanging = tokio::spawn(async move { hangs.run_once(10).await });
    reached.notified().await;
    let other = scene.steps(Counts("counts"))?;
    assert_eq!(other.run_once(10).await?, Progress::NotClaimed);

    hanging.abort();
    assert!(hanging.await.is_err_and(|error| error.is_cancelled()));
    wait::until("the other worker to go on", Duration::from_secs(30), async || {
        match other.run_once(10).await {
            Ok(Progress::Handled(handled)) if handled.events == 3 => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    assert_eq!(scene.counted("counts").await?, (3, 3), "what the killed worker wrote is gone");
    Ok(())
}

/// The checkpoint stays in front of a hole, whatever follows it.
#[tokio::test]
async fn an_event_that_commits_late_is_not_skipped() -> Result<()> {
    let scene = scene(1).await?;
    let mut late = scene.database.connect().await?;
    let writer = late.transaction().await?;
    writer.execute("SELECT pg_current_xact_id()", &[]).await?;
    let encoded = event(2, 1).encode()?;
    let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
    writer.execute(insert, &[&encoded.kind, &encoded.payload]).await?;
    scene.emit([event(3, 1)]).await?;
    scene.log_all().await?;
    let steps = scene.steps(Counts("counts"))?;
    let Progress::Handled(handled) = steps.run_once(10).await? else { panic!("it must run") };
    assert_eq!((handled.events, handled.checkpoint, handled.hole), (1, 1, Some(2)));
    writer.commit().await?;
    scene.log_all().await?;
    assert_eq!(run_to_end(&steps, 10).await?, 2);
    assert_eq!(scene.counted("counts").await?, (3, 3));
    Ok(())
}
