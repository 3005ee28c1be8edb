//! Several processes feed the same endpoints, and endpoints are added while events are written.

use anyhow::{Result, ensure};
use testkit::wait;

use super::receiver::Receiver;
use super::support::{LIMIT, Running, add_receiver, config, count, until_count};
use super::together::{add_all, checkpoint, one_by_one};
use crate::support::{Scene, event};

/// Counts, for each statement that moves checkpoints, the endpoints that want nothing of what flows: all but the first.
const COUNT_MOVES: &str = "
    CREATE TABLE moves (endpoints bigint);
    CREATE FUNCTION count_moves() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO public.moves SELECT count(*) FROM moved WHERE subscription <> 'webhook:1';
        RETURN NULL;
    END $$;
    CREATE TRIGGER count_moves AFTER INSERT ON subscription_checkpoints
    REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION count_moves()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_do_not_throw_endpoints_out_of_each_others_feeders() -> Result<()> {
    let scene = Scene::create().await?;
    let (receiver, other) = (Receiver::start()?, Receiver::start()?);
    let mut endpoints: Vec<(&Receiver, &[&str])> = vec![(&receiver, &[])];
    endpoints.extend((0..30).map(|_| (&other, &["order_cancelled"][..])));
    let ids = add_all(&scene, &endpoints).await?;
    let running = [Running::start(&config(&scene)?)?, Running::start(&config(&scene)?)?];
    one_by_one(&scene, &[&receiver], 1..=20).await?;
    scene.session.batch_execute(COUNT_MOVES).await?;
    let took = one_by_one(&scene, &[&receiver], 21..=220).await?;
    let alone = count(&scene, "moves WHERE endpoints = 1").await?;
    let together = count(&scene, "moves WHERE endpoints > 1").await?;
    // When both look at all endpoints in the same moment, one of them finds some locked.
    ensure!(alone <= 60, "{alone} moves of one endpoint alone, {together} of several, in {took:?}");
    for id in &ids {
        wait::until("the checkpoint", LIMIT, async || match checkpoint(&scene, *id).await {
            Ok((_, 220)) => Ok(()),
            found => Err(found),
        })
        .await?;
    }
    assert_eq!(receiver.received().len(), 220);
    for each in running {
        each.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_event_that_commits_after_an_endpoint_was_added_is_sent_to_it() -> Result<()> {
    for (end, expected) in [("COMMIT", 2), ("ROLLBACK", 1)] {
        let scene = Scene::create().await?;
        let receiver = Receiver::start()?;
        let running = Running::start(&config(&scene)?)?;
        let writer = scene.database.connect().await?;
        scene.emit([event(1, 1)]).await?;
        until_count(&scene, "event_log", 1).await?;
        let late = event(2, 1).encode()?;
        writer.batch_execute("BEGIN").await?;
        let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
        writer.execute(insert, &[&late.kind, &late.payload]).await?;
        scene.emit([event(3, 1)]).await?;
        until_count(&scene, "event_log", 2).await?;
        add_receiver(&scene, &receiver).await?;
        writer.batch_execute(end).await?;
        until_count(&scene, "webhook_attempts WHERE error IS NULL", expected).await?;
        until_count(&scene, "webhook_attempts WHERE position = 1", 0).await?;
        assert_eq!(receiver.received().len(), usize::try_from(expected)?, "{end}");
        running.stop().await?;
    }
    Ok(())
}
