//! An endpoint that accepts events counts as healthy, whatever retries and other processes meet.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use projector::webhooks::retry::{DeliveryPolicy, GiveUp};
use testkit::wait;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{Running, add_receiver, config, count, until_count};
use crate::support::{Scene, event};

const ACCEPTED: &str = "webhook_attempts WHERE error IS NULL";

/// Has a thousand deliveries wait that were refused an hour ago, and are tried again in the next seconds.
async fn refused_before(scene: &Scene, endpoint: i64) -> Result<()> {
    let refused = format!(
        "INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at,
             failures, first_failed_at, next_attempt_at)
         SELECT {endpoint}, -number, gen_random_uuid(), gen_random_uuid(), 'order_paid', '{{}}', now(), now(),
             5, now() - interval '1 hour', now() + interval '2 s' + number * interval '10 ms'
         FROM generate_series(1, 1000) AS number"
    );
    Ok(scene.session.batch_execute(&refused).await?)
}

#[tokio::test]
async fn retries_of_refused_events_in_a_lull_keep_no_new_event_from_arriving() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|message| {
        let is_new = message.order().starts_with("00000000");
        if is_new { OK } else { Reaction::Status(422) }
    })?;
    let endpoint = add_receiver(&scene, &receiver).await?;
    let mut config = config(&scene)?;
    config.webhooks.policy = DeliveryPolicy::default();
    let before = Running::start(&config)?;
    scene.emit([event(1, 1)]).await?;
    until_count(&scene, ACCEPTED, 1).await?;
    before.stop().await?;

    refused_before(&scene, endpoint.id).await?;
    let running = Running::start(&config)?;
    wait::until("a lull of some seconds", Duration::from_secs(20), async || {
        let found = count(&scene, "webhook_attempts WHERE error IS NOT NULL").await?;
        if found >= 130 { Ok(()) } else { Err(anyhow::anyhow!("{found}")) }
    })
    .await?;
    scene.emit_all(&(2..=21).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    wait::until("the events after the lull", Duration::from_secs(30), async || {
        let found = count(&scene, ACCEPTED).await?;
        if found == 21 { Ok(()) } else { Err(anyhow::anyhow!("{found}")) }
    })
    .await?;
    let unhealthy = "webhook_endpoints WHERE failures > 0 OR hold_until > '-infinity'";
    assert_eq!(count(&scene, unhealthy).await?, 0);
    running.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_cannot_reach_a_receiver_does_not_pause_it_for_one_that_can() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start()?;
    add_receiver(&scene, &receiver).await?;
    let mut good = config(&scene)?;
    good.webhooks.policy = DeliveryPolicy {
        retry_first: Duration::from_millis(100),
        give_up: GiveUp { after: Duration::from_secs(5), failures: 20 },
        outage_after: Duration::from_secs(4),
        streak_after: Duration::from_millis(200),
        ..DeliveryPolicy::default()
    };
    let mut bad = good.clone();
    bad.webhooks.allow_private = false;
    let (good, bad) = (Running::start(&good)?, Running::start(&bad)?);
    let (start, mut order) = (Instant::now(), 0);
    // Longer than an endpoint may fail.
    while start.elapsed() < Duration::from_secs(10) {
        order += 10;
        scene.emit_all(&(order - 9..=order).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
        let before = count(&scene, ACCEPTED).await?;
        wait::until("the next events to be accepted", Duration::from_secs(4), async || {
            let found = count(&scene, ACCEPTED).await?;
            if found >= before + 5 { Ok(()) } else { Err(anyhow::anyhow!("{found}")) }
        })
        .await?;
    }
    ensure!(count(&scene, "webhook_attempts WHERE error IS NOT NULL").await? > 20, "one process fails");
    let healthy = "webhook_endpoints WHERE state = 'active' AND recovered_at = '-infinity'";
    assert_eq!(count(&scene, healthy).await?, 1, "there was no outage");
    good.stop().await?;
    bad.stop().await
}
