//! The shared feeder: what it must not pass over, its limits, and how it stops.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use projector::webhooks::operator;
use testkit::wait;

use super::receiver::Receiver;
use super::support::{LIMIT, Running, config, count, until_count};
use super::together::{add_all, checkpoint, one_by_one};
use crate::support::{Scene, event};

#[tokio::test]
async fn one_that_lacks_events_is_lost_although_it_wants_none_of_the_next_ones() -> Result<()> {
    let scene = Scene::create().await?;
    let (all, paid) = (Receiver::start()?, Receiver::start()?);
    let ids = add_all(&scene, &[(&all, &[]), (&paid, &["order_paid"])]).await?;
    let running = Running::start(&config(&scene)?)?;
    one_by_one(&scene, &[&all], 1..=1).await?;
    until_count(&scene, "subscription_checkpoints WHERE checkpoint = 1", 2).await?;
    one_by_one(&scene, &[&all], 2..=2).await?;
    // As after the log was switched off and on: an event of any kind may be missing.
    scene.session.batch_execute("BEGIN; UPDATE event_log_state SET missing_up_to = 3").await?;
    scene.emit([event(3, 1)]).await?;
    scene.session.batch_execute("COMMIT").await?;
    until_count(&scene, "subscriptions WHERE state = 'lost'", 2).await?;
    assert!(checkpoint(&scene, ids[1]).await?.1 <= 2);
    assert_eq!((all.received().len(), paid.received().len()), (2, 0));
    running.stop().await
}

#[tokio::test]
async fn one_that_is_set_back_when_an_event_arrives_gets_all_again() -> Result<()> {
    let scene = Scene::create().await?;
    let receivers = [Receiver::start()?, Receiver::start()?];
    add_all(&scene, &receivers.each_ref().map(|receiver| (receiver, &[][..]))).await?;
    let running = Running::start(&config(&scene)?)?;
    one_by_one(&scene, &receivers.each_ref(), 1..=5).await?;
    until_count(&scene, "deliveries", 0).await?;
    let set_back = "UPDATE subscription_checkpoints SET checkpoint = 1 WHERE subscription = 'webhook:2'";
    scene.session.batch_execute(&format!("BEGIN; {set_back}")).await?;
    scene.emit([event(6, 1)]).await?;
    scene.session.batch_execute("COMMIT").await?;
    until_count(&scene, "webhook_attempts WHERE endpoint = 2", 10).await?;
    until_count(&scene, "webhook_attempts WHERE endpoint = 1", 6).await?;
    until_count(&scene, "deliveries", 0).await?;
    running.stop().await
}

#[tokio::test]
async fn an_event_without_ids_is_parked_for_endpoints_at_the_tail_and_the_next_ones_are_sent() -> Result<()> {
    let scene = Scene::create().await?;
    let receivers = [Receiver::start()?, Receiver::start()?];
    add_all(&scene, &receivers.each_ref().map(|receiver| (receiver, &[][..]))).await?;
    let running = Running::start(&config(&scene)?)?;
    one_by_one(&scene, &receivers.each_ref(), 1..=2).await?;
    scene.emit_raw("order_placed", "{}").await?;
    one_by_one(&scene, &receivers.each_ref(), 3..=4).await?;
    until_count(&scene, "subscription_parked WHERE subscription LIKE 'webhook:%'", 2).await?;
    running.stop().await
}

#[tokio::test]
async fn what_one_transaction_inserts_is_limited_in_bytes() -> Result<()> {
    let scene = Scene::create().await?;
    let receivers = [Receiver::start()?, Receiver::start()?, Receiver::start()?];
    let ids = add_all(&scene, &receivers.each_ref().map(|receiver| (receiver, &[][..]))).await?;
    let mut config = config(&scene)?;
    let events: Vec<_> = (2..=21).map(|order| event(order, 1)).collect();
    let bytes = events[0].encode()?.payload.len();
    // A read has three events: nine deliveries.
    config.batch_max_bytes = i64::try_from(4 * bytes - 1)?;
    let running = Running::start(&config)?;
    one_by_one(&scene, &receivers.each_ref(), 1..=1).await?;
    until_count(&scene, "deliveries", 0).await?;
    let database = scene.open()?;
    let mut connection = database.session().await?;
    for id in ids {
        operator::pause(&mut connection, id).await?;
    }
    scene.emit_all(&events).await?;
    until_count(&scene, "deliveries", 60).await?;
    let each = "SELECT max(number), max(endpoints) FROM (
                    SELECT count(*) AS number, count(DISTINCT endpoint) AS endpoints FROM deliveries GROUP BY xmin::text
                ) AS transactions";
    let row = scene.session.query_one(each, &[]).await?;
    let (deliveries, endpoints): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!((deliveries, endpoints), (3, 3));
    running.stop().await
}

/// Inserting for the second endpoint takes this long.
async fn slow_down(scene: &Scene, seconds: u32) -> Result<()> {
    let slow = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
         AS $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON deliveries
         FOR EACH ROW WHEN (NEW.endpoint = 2) EXECUTE FUNCTION slow()"
    );
    Ok(scene.session.batch_execute(&slow).await?)
}

const SLEEPING: &str = "pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";

#[tokio::test]
async fn a_stop_waits_for_the_batch_in_flight_but_not_for_long_and_loses_nothing() -> Result<()> {
    // The second one takes longer than a stop may.
    for (seconds, fed) in [(1, 6), (30, 4)] {
        let scene = Scene::create().await?;
        let receivers = [Receiver::start()?, Receiver::start()?];
        add_all(&scene, &receivers.each_ref().map(|receiver| (receiver, &[][..]))).await?;
        let running = Running::start(&config(&scene)?)?;
        one_by_one(&scene, &receivers.each_ref(), 1..=2).await?;
        until_count(&scene, "deliveries", 0).await?;
        slow_down(&scene, seconds).await?;
        scene.emit([event(3, 1)]).await?;
        until_count(&scene, SLEEPING, 1).await?;
        let start = Instant::now();
        running.stop().await?;
        ensure!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        let end = format!("SELECT pg_terminate_backend(pid) FROM {SLEEPING}");
        scene.session.batch_execute(&end).await?;
        until_count(&scene, SLEEPING, 0).await?;
        let attempts = count(&scene, "webhook_attempts").await?;
        assert_eq!(attempts + count(&scene, "deliveries").await?, fed, "{seconds} s");
        scene.session.batch_execute("DROP TRIGGER slow ON deliveries").await?;
        let running = Running::start(&config(&scene)?)?;
        one_by_one(&scene, &receivers.each_ref(), 4..=4).await?;
        wait::until("all messages", LIMIT, async || {
            let received = receivers.each_ref().map(|receiver| receiver.received().len());
            if received == [4, 4] { Ok(()) } else { Err(received) }
        })
        .await?;
        until_count(&scene, "deliveries", 0).await?;
        running.stop().await?;
    }
    Ok(())
}
