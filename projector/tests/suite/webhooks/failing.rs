//! Receivers that are slow, refuse, ask for a pause, or are gone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use projector::webhooks::operator;
use projector::webhooks::retry::GiveUp;
use testkit::wait;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{
    LIMIT, Running, add_receiver, config, count, shared, stories, until_accepted, until_count,
};
use super::together::{SLOW, checkpoint, one_by_one};
use crate::support::{Scene, event};

#[tokio::test]
async fn nothing_is_lost_and_order_is_kept_whatever_a_receiver_does() -> Result<()> {
    let scene = Scene::create().await?;
    let (requests, count) = shared(AtomicUsize::new(0));
    let receiver = Receiver::start_with(move |_| match count.fetch_add(1, Ordering::Relaxed) % 7 {
        0 => Reaction::Status(500),
        1 => Reaction::RetryAfter(429, "0".to_owned()),
        2 => Reaction::Close,
        3 => Reaction::Slow(200, Duration::from_millis(20)),
        // Its response comes too late: the message arrives again.
        4 => Reaction::Slow(200, Duration::from_millis(300)),
        _ => OK,
    })?;
    let endpoint = add_receiver(&scene, &receiver).await?;
    let mut config = config(&scene)?;
    config.webhooks.timeout = Duration::from_millis(150);
    let (one, two) = (Running::start(&config)?, Running::start(&config)?);
    scene.emit_all(&stories(30)).await?;
    until_accepted(&receiver, 30).await?;
    until_count(&scene, "deliveries", 0).await?;
    for message in receiver.received() {
        message.verify(&endpoint.secret)?;
    }
    assert!(requests.load(Ordering::Relaxed) > 90, "some were repeated");
    one.stop().await?;
    two.stop().await
}

#[tokio::test]
async fn a_receiver_that_is_killed_in_the_middle_misses_nothing() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| Reaction::Slow(200, Duration::from_millis(5)))?;
    add_receiver(&scene, &receiver).await?;
    let running = Running::start(&config(&scene)?)?;
    scene.emit_all(&stories(40)).await?;
    let mut receiver = receiver;
    for accepted in [10, 40, 80] {
        wait::until("some messages", LIMIT, async || {
            let found = receiver.accepted().len();
            if found >= accepted { Ok(()) } else { Err(found) }
        })
        .await?;
        let stopped = receiver.kill();
        // Requests in flight and later ones fail.
        until_some_fail(&scene).await?;
        receiver = stopped.start_again()?;
    }
    until_accepted(&receiver, 40).await?;
    running.stop().await
}

async fn until_some_fail(scene: &Scene) -> Result<()> {
    let what = "webhook_attempts WHERE error IS NOT NULL";
    let before = count(scene, what).await?;
    let failed = wait::until("a request to fail", LIMIT, async || match count(scene, what).await {
        Ok(found) if found > before => Ok(()),
        other => Err(other),
    });
    Ok(failed.await?)
}

#[tokio::test]
async fn a_dead_endpoint_is_probed_one_request_at_a_time_and_catches_up_when_it_is_back() -> Result<()> {
    let scene = Scene::create().await?;
    let (is_up, back) = shared(AtomicBool::new(false));
    let receiver =
        Receiver::start_with(
            move |_| {
                if is_up.load(Ordering::Relaxed) { OK } else { Reaction::Status(503) }
            },
        )?;
    add_receiver(&scene, &receiver).await?;
    let running = Running::start(&config(&scene)?)?;
    scene.emit_all(&stories(30)).await?;
    wait::until("forty requests", LIMIT, async || {
        let found = receiver.received().len();
        if found >= 40 { Ok(()) } else { Err(found) }
    })
    .await?;
    // Ten failures, and what was in flight then: eight more at most.
    let crowded = receiver.received().iter().skip(18).filter(|message| message.at_once > 1).count();
    assert_eq!(crowded, 0);
    back.store(true, Ordering::Relaxed);
    until_accepted(&receiver, 30).await?;
    until_count(&scene, "webhook_endpoints WHERE failures = 0 AND failing_since IS NULL", 1).await?;
    running.stop().await
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_pause_is_sent_nothing_before_its_end() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| Reaction::RetryAfter(429, "3600".to_owned()))?;
    add_receiver(&scene, &receiver).await?;
    let mut config = config(&scene)?;
    config.webhooks.policy.retry_max = Duration::from_hours(1);
    let running = Running::start(&config)?;
    scene.emit([event(1, 1)]).await?;
    let held = "webhook_endpoints WHERE hold_until > now() + interval '50 minutes'";
    until_count(&scene, held, 1).await?;
    receiver.react(|_| OK);
    scene.emit([event(2, 1)]).await?;
    until_count(&scene, "deliveries", 2).await?;
    assert_eq!(receiver.received().len(), 1);
    scene.session.batch_execute("UPDATE webhook_endpoints SET hold_until = now()").await?;
    until_count(&scene, "deliveries", 1).await?;
    assert!(receiver.received().iter().skip(1).all(|message| message.version() == 1));
    running.stop().await
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_paused_at_once() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| Reaction::Status(410))?;
    let endpoint = add_receiver(&scene, &receiver).await?;
    let running = Running::start(&config(&scene)?)?;
    scene.emit([event(1, 1)]).await?;
    until_count(&scene, "webhook_endpoints WHERE state = 'paused' AND paused_reason = 'gone'", 1).await?;
    scene.emit([event(2, 1)]).await?;
    until_count(&scene, "deliveries", 2).await?;
    assert_eq!(receiver.received().len(), 1);

    receiver.react(|_| OK);
    let database = scene.open()?;
    let mut connection = database.session().await?;
    operator::resume(&mut connection, endpoint.id).await?;
    until_count(&scene, "deliveries", 0).await?;
    assert_eq!(receiver.versions().len(), 2);
    running.stop().await
}

#[tokio::test]
async fn an_event_that_is_always_refused_is_given_up_and_the_rest_of_its_order_arrives() -> Result<()> {
    let scene = Scene::create().await?;
    let poison = event(1, 1).event_id.to_string();
    let receiver =
        Receiver::start_with(move |message| if message.id() == poison { Reaction::Status(422) } else { OK })?;
    add_receiver(&scene, &receiver).await?;
    let mut config = config(&scene)?;
    config.webhooks.policy.give_up = GiveUp { after: Duration::from_millis(300), failures: 5 };
    let running = Running::start(&config)?;
    scene.emit_all(&stories(1)).await?;
    // Others must succeed meanwhile: otherwise the endpoint would be at fault.
    let order = std::cell::Cell::new(1);
    wait::until("the poison event to be parked", LIMIT, async || {
        order.set(order.get() + 1);
        scene.emit([event(order.get(), 1)]).await?;
        let parked = count(&scene, "subscription_parked WHERE error = 'status 422'").await?;
        if parked == 1 { Ok(()) } else { Err(anyhow::anyhow!("{parked}")) }
    })
    .await?;
    until_count(&scene, "deliveries", 0).await?;
    let first = event(1, 1).order.order_id.to_string();
    assert_eq!(receiver.versions().get(&first), Some(&vec![2, 3]));
    assert_eq!(count(&scene, "webhook_endpoints WHERE state = 'active'").await?, 1);
    running.stop().await
}

#[tokio::test]
async fn an_endpoint_at_which_nothing_succeeds_is_paused_after_the_limit() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| Reaction::Close)?;
    add_receiver(&scene, &receiver).await?;
    let mut config = config(&scene)?;
    config.webhooks.policy.give_up = GiveUp { after: Duration::from_millis(300), failures: 5 };
    let running = Running::start(&config)?;
    scene.emit_all(&stories(2)).await?;
    let paused = "webhook_endpoints WHERE state = 'paused' AND paused_reason = 'nothing_succeeded'";
    until_count(&scene, paused, 1).await?;
    until_count(&scene, "deliveries", 6).await?;
    assert_eq!(count(&scene, "subscription_parked").await?, 0);

    let metrics = reqwest::get(format!("http://{}/metrics", running.address)).await?.text().await?;
    assert!(
        metrics.contains("orders_webhook_attempts_total{endpoint=\"1\",outcome=\"failed\"}"),
        "{metrics}"
    );
    running.stop().await
}

#[tokio::test]
async fn an_endpoint_that_takes_no_more_delays_no_other() -> Result<()> {
    let scene = Scene::create().await?;
    let (full, current) = (Receiver::start()?, Receiver::start()?);
    let paused = add_receiver(&scene, &full).await?;
    add_receiver(&scene, &current).await?;
    let database = scene.open()?;
    let mut connection = database.session().await?;
    operator::pause(&mut connection, paused.id).await?;
    let running = Running::start(&config(&scene)?)?;
    let events: Vec<_> = (1..=1_200).map(|order| event(order, 1)).collect();
    scene.emit_all(&events).await?;
    until_count(&scene, "webhook_attempts", 1_200).await?;
    until_count(&scene, "deliveries", 1_000).await?;
    let took = one_by_one(&scene, &[&current], 1_201..=1_220).await?;
    ensure!(took < SLOW, "{took:?} for 20 events");
    ensure!(checkpoint(&scene, paused.id).await?.1 < 1_200, "it is full");
    operator::resume(&mut connection, paused.id).await?;
    until_count(&scene, "webhook_attempts WHERE endpoint = 1 AND error IS NULL", 1_220).await?;
    assert_eq!(full.versions().len(), 1_220);
    running.stop().await
}
