//! A receiver that refuses some events and accepts others.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use projector::webhooks::delivery::{self, Backlogs, DUE_MAX};
use projector::webhooks::retry::{DeliveryPolicy, GiveUp};
use projector::webhooks::store::line_up;
use testkit::wait;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{
    FAST, LIMIT, LIMITS, Running, add, add_receiver, config, count, deliver, finish, finished, positions,
    take,
};
use crate::support::{Scene, event};

const URL: &str = "https://hooks.example/orders";

/// The endpoint is as if nothing had ever failed, but for these deliveries that wait.
async fn assert_never_held(scene: &Scene) -> Result<()> {
    let held = "webhook_endpoints WHERE hold_until > '-infinity' OR state <> 'active'";
    assert_eq!(count(scene, held).await?, 0, "it neither paused nor was probed");
    Ok(())
}

#[tokio::test]
async fn a_thousand_refused_events_and_further_ones_keep_nothing_else_from_arriving() -> Result<()> {
    let scene = Scene::create().await?;
    let is_refused = |order: &str| order.ends_with('0');
    let receiver =
        Receiver::start_with(
            move |message| {
                if message.order().ends_with('0') { Reaction::Status(422) } else { OK }
            },
        )?;
    let endpoint = add_receiver(&scene, &receiver).await?;
    let refused = format!(
        "INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at,
             failures, first_failed_at, next_attempt_at)
         SELECT {}, -number, gen_random_uuid(), gen_random_uuid(), 'order_paid', '{{}}', now(), now(),
             5, now(), now() + interval '1 hour'
         FROM generate_series(1, 1000) AS number",
        endpoint.id
    );
    scene.session.batch_execute(&refused).await?;
    let mut config = config(&scene)?;
    config.webhooks.policy = DeliveryPolicy::default();
    let running = Running::start(&config)?;
    let events: Vec<_> = (1..=1_000).map(|order| event(order, 1)).collect();
    let expected = events.iter().filter(|event| !is_refused(&event.order.order_id.to_string())).count();
    assert!((900..1_000).contains(&expected), "{expected}");
    scene.emit_all(&events).await?;
    wait::until("all that are accepted", LIMIT, async || {
        let found = receiver.accepted_count();
        if found == expected { Ok(()) } else { Err(format!("{found} of {expected}")) }
    })
    .await?;
    assert_never_held(&scene).await?;
    running.stop().await
}

#[tokio::test]
async fn an_endpoint_that_accepts_half_of_the_events_is_sent_all_of_them() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|message| {
        let is_even = message.id().bytes().last().is_some_and(|last| last % 2 == 0);
        if is_even { OK } else { Reaction::Status(422) }
    })?;
    add_receiver(&scene, &receiver).await?;
    let mut config = config(&scene)?;
    config.webhooks.policy = DeliveryPolicy::default();
    let running = Running::start(&config)?;
    scene.emit_all(&(1..=800).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    wait::until("each event to be tried", LIMIT, async || {
        let tried: BTreeSet<_> = receiver.received().iter().map(|each| each.id().to_owned()).collect();
        if tried.len() == 800 { Ok(()) } else { Err(tried.len()) }
    })
    .await?;
    assert_never_held(&scene).await?;
    running.stop().await
}

#[tokio::test]
async fn later_events_of_an_order_wait_with_the_refused_one_and_follow_it() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    let [first, others @ ..] = [1, 2, 3, 4].map(|version| event(1, version));
    deliver(&mut connection, id, &[first.clone(), others[0].clone()]).await?;
    let backlogs = Backlogs::default();
    let leased = take(&mut connection, id, LIMITS).await?;
    finish(&mut connection, id, &[finished(&leased[0], 422)], &DeliveryPolicy::default()).await?;
    // One that is added meanwhile waits too.
    deliver(&mut connection, id, &[[first].as_slice(), &others].concat()).await?;
    let same = "(SELECT DISTINCT next_attempt_at FROM deliveries WHERE next_attempt_at > now()) AS each";
    assert_eq!(count(&scene, same).await?, 1);
    assert_eq!(delivery::rooms(&mut connection, &[id], &backlogs).await?, [(id, DUE_MAX)]);

    let due = "UPDATE deliveries SET next_attempt_at = next_attempt_at - interval '1 hour';
               UPDATE webhook_endpoints SET hold_until = '-infinity'";
    scene.session.batch_execute(due).await?;
    for position in 1..=4 {
        let leased = take(&mut connection, id, LIMITS).await?;
        assert_eq!(positions(&leased), [position]);
        finish(&mut connection, id, &[finished(&leased[0], 200)], &FAST).await?;
    }
    Ok(())
}

#[tokio::test]
async fn later_events_of_an_order_are_due_once_the_refused_one_is_parked() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[event(1, 1), event(1, 2)]).await?;
    let policy = DeliveryPolicy { give_up: GiveUp { after: Duration::ZERO, failures: 2 }, ..FAST };
    for parked in [0, 1] {
        let leased = take(&mut connection, id, LIMITS).await?;
        assert_eq!(positions(&leased), [1]);
        let recorded = finish(&mut connection, id, &[finished(&leased[0], 422)], &policy).await?;
        assert_eq!(recorded.parked.len(), parked);
        // The endpoint is well, and time passes.
        let later =
            "UPDATE webhook_endpoints SET failures = 0, failing_since = NULL, hold_until = '-infinity';
                     UPDATE deliveries SET next_attempt_at = least(next_attempt_at, now() + interval '1 ms')";
        scene.session.batch_execute(later).await?;
    }
    assert_eq!(positions(&take(&mut connection, id, LIMITS).await?), [2]);
    Ok(())
}

#[tokio::test]
async fn an_event_that_was_added_while_the_one_before_it_was_refused_is_put_behind_it() -> Result<()> {
    let scene = Scene::create().await?;
    let (feeder, sender) = (scene.open()?, scene.open()?);
    let (mut feeder, mut sender) = (feeder.session().await?, sender.session().await?);
    let id = add(&mut feeder, URL).await?.id;
    deliver(&mut feeder, id, &[event(1, 1)]).await?;
    let leased = take(&mut sender, id, LIMITS).await?;
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *feeder, "BEGIN").await?;
    deliver(&mut feeder, id, &[event(1, 1), event(1, 2)]).await?;
    finish(&mut sender, id, &[finished(&leased[0], 422)], &DeliveryPolicy::default()).await?;
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *feeder, "COMMIT").await?;

    let behind = "deliveries AS later JOIN deliveries AS first USING (order_id, next_attempt_at)
                  WHERE first.position = 1 AND later.position = 2";
    assert_eq!(count(&scene, behind).await?, 0, "this is the race");
    assert_eq!(positions(&take(&mut sender, id, LIMITS).await?), [0_i64; 0], "order is kept all the same");
    line_up(&mut sender, id, &Backlogs::default()).await?;
    assert_eq!(count(&scene, behind).await?, 1);
    Ok(())
}

#[tokio::test]
async fn after_many_failures_an_event_that_was_never_tried_comes_first() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[1, 2, 3].map(|order| event(order, 1))).await?;
    let failing = "UPDATE webhook_endpoints SET failures = 10, failing_since = now();
                   UPDATE deliveries SET failures = 1, first_failed_at = now() WHERE position < 3";
    scene.session.batch_execute(failing).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    assert_eq!(positions(&leased), [3]);
    finish(&mut connection, id, &[finished(&leased[0], 422)], &DeliveryPolicy::default()).await?;
    scene.session.batch_execute("UPDATE webhook_endpoints SET hold_until = '-infinity'").await?;
    assert_eq!(take(&mut connection, id, LIMITS).await?.len(), 1, "then one that was refused");
    Ok(())
}

#[tokio::test]
async fn a_retry_after_holds_the_endpoint_only_with_429_and_503() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    for (order, status, is_held) in [(1, 422, 0), (2, 500, 0), (3, 429, 1), (4, 503, 1)] {
        scene.session.batch_execute("DELETE FROM deliveries").await?;
        deliver(&mut connection, id, &[event(order, 1)]).await?;
        let leased = take(&mut connection, id, LIMITS).await?;
        let mut refused = finished(&leased[0], status);
        refused.retry_after = Some(Duration::from_hours(1));
        finish(&mut connection, id, &[refused], &DeliveryPolicy::default()).await?;
        let held = "webhook_endpoints WHERE hold_until > now() + interval '59 min'";
        assert_eq!(count(&scene, held).await?, is_held, "{status}");
        let waits = "deliveries WHERE next_attempt_at > now() + interval '59 min'";
        assert_eq!(count(&scene, waits).await?, 1, "{status}: the event itself waits");
        scene.session.batch_execute("UPDATE webhook_endpoints SET hold_until = '-infinity'").await?;
    }
    Ok(())
}
