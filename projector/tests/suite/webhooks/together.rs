//! Many endpoints: they are fed together, and none delays another.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use projector::subscription::operator::{self as subscriptions, To};
use projector::webhooks::endpoint::Endpoint;
use testkit::wait;

use super::receiver::Receiver;
use super::support::{LIMIT, Running, add_for, config, count, stories, until_accepted, until_count};
use crate::support::{Scene, event};

/// A loaded machine needs a second or two. One that waits for somebody else's lock or backlog needs longer.
pub(super) const SLOW: Duration = Duration::from_secs(20);

/// Adds endpoints: each for one receiver, and for these kinds.
pub(super) async fn add_all(scene: &Scene, endpoints: &[(&Receiver, &[&str])]) -> Result<Vec<i64>> {
    let database = scene.open()?;
    let mut connection = database.session().await?;
    let mut ids = Vec::new();
    for (receiver, kinds) in endpoints {
        ids.push(add_for(&mut connection, &receiver.url(), kinds).await?.id);
    }
    connection.give_back();
    Ok(ids)
}

/// Emits the first events of these orders, each after the receivers have got the one before. Returns how long it took.
pub(super) async fn one_by_one(
    scene: &Scene,
    receivers: &[&Receiver],
    orders: std::ops::RangeInclusive<u128>,
) -> Result<Duration> {
    let start = Instant::now();
    for order in orders {
        let next = event(order, 1);
        // The tables say it: looking through all that a receiver has got would stop this thread, and so the projector.
        let accepted = format!("webhook_attempts WHERE event_id = '{}' AND error IS NULL", next.event_id);
        scene.emit([next]).await?;
        until_count(scene, &accepted, i64::try_from(receivers.len())?).await?;
    }
    Ok(start.elapsed())
}

pub(super) async fn checkpoint(scene: &Scene, endpoint: i64) -> Result<(i64, i64)> {
    let newest = "SELECT generation, checkpoint FROM subscription_checkpoints
                  WHERE subscription = $1 ORDER BY generation DESC LIMIT 1";
    let row = scene.session.query_one(newest, &[&Endpoint::subscription(endpoint)]).await?;
    Ok((row.get(0), row.get(1)))
}

async fn set_state(scene: &Scene, endpoint: i64, state: &str) -> Result<()> {
    let set = "UPDATE subscriptions SET state = $1 WHERE name = $2";
    scene.session.execute(set, &[&state, &Endpoint::subscription(endpoint)]).await?;
    Ok(())
}

async fn until_checkpoint(scene: &Scene, endpoint: i64, expected: i64) -> Result<()> {
    let reached = wait::until("the checkpoint", LIMIT, async || match checkpoint(scene, endpoint).await {
        Ok((_, found)) if found == expected => Ok(()),
        other => Err(other),
    });
    Ok(reached.await?)
}

/// The versions of the rows of endpoints 1 and 3. No failure has been recorded for them while these are the same.
async fn versions_of_others(scene: &Scene) -> Result<Vec<String>> {
    let versions = "SELECT xmin::text FROM subscriptions WHERE name <> 'webhook:2' ORDER BY name";
    Ok(scene.session.query(versions, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Of all subscriptions: the failures in a row, by endpoint.
async fn failures(scene: &Scene) -> Result<Vec<i32>> {
    let failures = "SELECT failures FROM subscriptions ORDER BY length(name), name";
    Ok(scene.session.query(failures, &[]).await?.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn endpoints_that_want_other_kinds_cost_a_write_each_second_and_not_each_event() -> Result<()> {
    let scene = Scene::create().await?;
    let (receiver, other) = (Receiver::start()?, Receiver::start()?);
    let mut endpoints: Vec<(&Receiver, &[&str])> = vec![(&receiver, &[])];
    endpoints.extend((0..30).map(|_| (&other, &["order_cancelled"][..])));
    let ids = add_all(&scene, &endpoints).await?;
    let running = Running::start(&config(&scene)?)?;
    one_by_one(&scene, &[&receiver], 1..=1).await?;
    for id in &ids {
        until_checkpoint(&scene, *id, 1).await?;
    }
    let mut before = 0;
    for id in &ids[1..] {
        before += checkpoint(&scene, *id).await?.0;
    }
    let took = one_by_one(&scene, &[&receiver], 2..=101).await?;
    let mut moved = -before;
    for id in &ids[1..] {
        moved += checkpoint(&scene, *id).await?.0;
    }
    let seconds = i64::try_from(took.as_secs())? + 1;
    ensure!(moved <= 30 * seconds, "{moved} moves in {took:?}");
    ensure!(moved < 30 * 100, "{moved} moves for 100 events");
    // They follow although nothing more is logged, and get what they want.
    for id in &ids {
        until_checkpoint(&scene, *id, 101).await?;
    }
    assert_eq!((checkpoint(&scene, ids[0]).await?.1, other.received().len()), (101, 0));
    running.stop().await
}

#[tokio::test]
async fn an_endpoint_whose_row_is_locked_delays_no_other_and_has_not_failed() -> Result<()> {
    for table in ["webhook_endpoints WHERE id = 2", "subscriptions WHERE name = 'webhook:2'"] {
        let scene = Scene::create().await?;
        let receivers = [Receiver::start()?, Receiver::start()?, Receiver::start()?];
        add_all(&scene, &receivers.each_ref().map(|receiver| (receiver, &[][..]))).await?;
        let running = Running::start(&config(&scene)?)?;
        let [one, two, three] = &receivers;
        one_by_one(&scene, &[one, two, three], 1..=2).await?;
        let mut holder = scene.database.connect().await?;
        let lock = holder.transaction().await?;
        lock.batch_execute(&format!("SELECT FROM {table} FOR UPDATE")).await?;
        let took = one_by_one(&scene, &[one, three], 3..=22).await?;
        ensure!(took < SLOW, "{took:?} for 20 events, {table}");
        assert_eq!((two.versions().len(), failures(&scene).await?), (2, vec![0, 0, 0]), "{table}");
        lock.rollback().await?;
        one_by_one(&scene, &[one, two, three], 23..=23).await?;
        until_count(&scene, "deliveries", 0).await?;
        assert_eq!([one, two, three].map(|receiver| receiver.versions().len()), [23, 23, 23]);
        running.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_fed_fails_alone_and_catches_up() -> Result<()> {
    let scene = Scene::create().await?;
    let receivers = [Receiver::start()?, Receiver::start()?, Receiver::start()?];
    add_all(&scene, &receivers.each_ref().map(|receiver| (receiver, &[][..]))).await?;
    let running = Running::start(&config(&scene)?)?;
    let [one, two, three] = &receivers;
    one_by_one(&scene, &[one, two, three], 1..=2).await?;
    let fail = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RAISE 'no delivery for %', NEW.endpoint; END $$;
                CREATE TRIGGER fail BEFORE INSERT ON deliveries
                FOR EACH ROW WHEN (NEW.endpoint = 2) EXECUTE FUNCTION fail()";
    scene.session.batch_execute(fail).await?;
    let others = versions_of_others(&scene).await?;
    let took = one_by_one(&scene, &[one, three], 3..=22).await?;
    ensure!(took < SLOW, "{took:?} for 20 events");
    let found = failures(&scene).await?;
    assert!(matches!(found[..], [0, failures, 0] if failures > 0), "{found:?}");
    assert_eq!(
        versions_of_others(&scene).await?,
        others,
        "a failure was recorded for one that has not failed"
    );
    let error = "SELECT last_error FROM subscriptions WHERE name = 'webhook:2'";
    let error: String = scene.session.query_one(error, &[]).await?.get(0);
    ensure!(error.contains("no delivery for 2"), "{error}");
    scene.session.batch_execute("DROP TRIGGER fail ON deliveries").await?;
    wait::until("the other to catch up", LIMIT, async || {
        if two.versions().len() == 22 { Ok(()) } else { Err(two.versions().len()) }
    })
    .await?;
    assert_eq!(failures(&scene).await?, [0, 0, 0]);
    running.stop().await
}

#[tokio::test]
async fn an_endpoint_far_behind_catches_up_while_the_others_stay_current() -> Result<()> {
    let scene = Scene::create().await?;
    let (current, behind) = (Receiver::start()?, Receiver::start()?);
    let events: Vec<_> = (1..=600).map(|order| event(order, 1)).collect();
    let ids = add_all(&scene, &[(&current, &[]), (&behind, &[])]).await?;
    set_state(&scene, ids[1], "paused").await?;
    let mut config = config(&scene)?;
    // So it takes a while.
    config.batch_max = 2;
    let running = Running::start(&config)?;
    scene.emit_all(&events).await?;
    until_checkpoint(&scene, ids[0], 600).await?;
    set_state(&scene, ids[1], "running").await?;
    let took = one_by_one(&scene, &[&current], 601..=610).await?;
    let (_, reached) = checkpoint(&scene, ids[1]).await?;
    ensure!(reached < 600, "it had caught up already, at {reached}, after {took:?}");
    ensure!(took < SLOW, "{took:?} for 10 events");
    until_count(&scene, "webhook_attempts WHERE endpoint = 2", 610).await?;
    assert_eq!(behind.versions().len(), 610);
    running.stop().await
}

#[tokio::test]
async fn two_processes_feed_each_event_once_and_either_goes_on_alone() -> Result<()> {
    let scene = Scene::create().await?;
    let (all, also_all, paid) = (Receiver::start()?, Receiver::start()?, Receiver::start()?);
    add_all(&scene, &[(&all, &[]), (&also_all, &[]), (&paid, &["order_paid"])]).await?;
    let (first, second) = (Running::start(&config(&scene)?)?, Running::start(&config(&scene)?)?);
    scene.emit_all(&stories(40)).await?;
    one_by_one(&scene, &[&all, &also_all], 41..=60).await?;
    first.stop().await?;
    scene.emit_all(&(41..=60).map(|order| event(order, 2)).collect::<Vec<_>>()).await?;
    until_count(&scene, "webhook_attempts", 2 * (3 * 40 + 2 * 20) + 60).await?;
    second.stop().await?;
    // A process that starts later goes on where they were, also with events that nobody wanted.
    let third = Running::start(&config(&scene)?)?;
    scene.emit_all(&(41..=60).map(|order| event(order, 3)).collect::<Vec<_>>()).await?;
    until_accepted(&all, 60).await?;
    until_accepted(&also_all, 60).await?;
    until_count(&scene, "deliveries", 0).await?;
    assert_eq!([&all, &also_all, &paid].map(|receiver| receiver.received().len()), [180, 180, 60]);
    third.stop().await
}

#[tokio::test]
async fn operators_move_an_endpoint_that_is_fed_with_others() -> Result<()> {
    let scene = Scene::create().await?;
    let (one, two) = (Receiver::start()?, Receiver::start()?);
    let ids = add_all(&scene, &[(&one, &[]), (&two, &[])]).await?;
    let running = Running::start(&config(&scene)?)?;
    one_by_one(&scene, &[&one, &two], 1..=3).await?;
    until_count(&scene, "deliveries", 0).await?;
    let database = scene.open()?;
    let mut connection = database.session().await?;
    let name = Endpoint::subscription(ids[1]);
    subscriptions::rewind(&mut connection, &name, To::Position(1)).await?;
    until_count(&scene, "webhook_attempts WHERE endpoint = 2", 5).await?;
    // An event that was skipped, and is tried again after all.
    let due = "INSERT INTO subscription_parked (subscription, position, kind, payload, recorded_at, attempts, error)
               SELECT 'webhook:2', position, kind, payload::json, now(), 0, '' FROM event_log WHERE position = 1";
    scene.session.batch_execute(due).await?;
    until_count(&scene, "webhook_attempts WHERE endpoint = 2", 6).await?;
    assert_eq!(count(&scene, "subscription_parked").await?, 0);
    set_state(&scene, ids[1], "paused").await?;
    one_by_one(&scene, &[&one], 4..=5).await?;
    assert_eq!(checkpoint(&scene, ids[1]).await?.1, 3);
    set_state(&scene, ids[1], "running").await?;
    one_by_one(&scene, &[&one, &two], 6..=6).await?;
    until_count(&scene, "webhook_attempts WHERE endpoint = 2", 9).await?;
    assert_eq!(one.received().len(), 6, "the other one is not touched");
    running.stop().await
}
