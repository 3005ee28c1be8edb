//! Leasing deliveries and recording results, without requests.

use std::time::Duration;

use anyhow::Result;
use projector::webhooks::delivery::{self, Backlogs, Limits, Take};
use projector::webhooks::operator;
use projector::webhooks::retry::DeliveryPolicy;

use super::support::{FAST, LIMITS, add, count, deliver, finish, finished, positions, streak, take};
use crate::support::{Scene, event};

const URL: &str = "https://hooks.example/orders";

/// A lease that is over at once, as that of a process that died.
const OVER: Limits = Limits { lease: Duration::ZERO, ..LIMITS };

#[tokio::test]
async fn the_first_event_of_each_order_is_leased_and_the_next_one_after_it() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[event(1, 1), event(2, 1), event(1, 2), event(1, 3)]).await?;

    let leased = take(&mut connection, id, LIMITS).await?;
    assert_eq!(positions(&leased), [1, 2]);
    assert!(take(&mut connection, id, LIMITS).await?.is_empty(), "the others wait for the first of order 1");
    finish(&mut connection, id, &[finished(&leased[0], 200)], &FAST).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    assert_eq!(positions(&leased), [3]);
    // A failed event holds back the next one too.
    finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
    scene.session.batch_execute("UPDATE deliveries SET next_attempt_at = now() WHERE position = 3").await?;
    assert_eq!(positions(&take(&mut connection, id, LIMITS).await?), [3]);
    Ok(())
}

#[tokio::test]
async fn all_processes_together_keep_the_limit_of_an_endpoint() -> Result<()> {
    let scene = Scene::create().await?;
    let (one, two) = (scene.open()?, scene.open()?);
    let (mut one, mut two) = (one.session().await?, two.session().await?);
    let id = add(&mut one, URL).await?.id;
    deliver(&mut one, id, &(1..=20).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    let five = Limits { wanted: 5, ..LIMITS };
    assert_eq!(take(&mut one, id, five).await?.len(), 5);
    assert_eq!(take(&mut two, id, five).await?.len(), 3);
    assert_eq!(take(&mut one, id, five).await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_lock_of_another_session_is_not_taken_for_a_pause() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    scene.session.batch_execute("BEGIN; SELECT FROM webhook_endpoints FOR NO KEY UPDATE").await?;
    let backlogs = Backlogs::default();
    assert_eq!(delivery::take(&mut connection, id, LIMITS, &backlogs).await?, Take::Locked);
    scene.session.batch_execute("COMMIT").await?;
    assert_eq!(take(&mut connection, id, LIMITS).await?.len(), 1);
    operator::pause(&mut connection, id).await?;
    assert_eq!(delivery::take(&mut connection, id, LIMITS, &backlogs).await?, Take::NotNow);
    Ok(())
}

#[tokio::test]
async fn the_holder_of_an_older_lease_changes_nothing() -> Result<()> {
    let scene = Scene::create().await?;
    let (slow, quick) = (scene.open()?, scene.open()?);
    let (mut slow, mut quick) = (slow.session().await?, quick.session().await?);
    let id = add(&mut slow, URL).await?.id;
    deliver(&mut slow, id, &[event(1, 1), event(1, 2)]).await?;

    let old = take(&mut slow, id, OVER).await?;
    let new = take(&mut quick, id, LIMITS).await?;
    assert_eq!((positions(&old), positions(&new)), (vec![1], vec![1]));
    assert_eq!((old[0].fence, new[0].fence), (1, 2));
    for status in [500, 200] {
        finish(&mut slow, id, &[finished(&old[0], status)], &FAST).await?;
        let kept =
            count(&scene, "deliveries WHERE position = 1 AND failures = 0 AND leased_until > now()").await?;
        assert_eq!(kept, 1, "{status}: the second process still holds it");
    }
    finish(&mut quick, id, &[finished(&new[0], 200)], &FAST).await?;
    assert_eq!(count(&scene, "deliveries").await?, 1);
    assert_eq!(count(&scene, "webhook_attempts").await?, 3, "each request was one");
    Ok(())
}

#[tokio::test]
async fn a_lease_that_is_over_is_given_to_the_next_process() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &(1..=8).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    assert_eq!(take(&mut connection, id, OVER).await?.len(), 8);
    assert_eq!(take(&mut connection, id, LIMITS).await?.len(), 8);
    Ok(())
}

#[tokio::test]
async fn after_ten_failures_in_a_row_one_delivery_at_a_time_is_tried_each_time_another() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &(1..=12).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    let mut tried = Vec::new();
    let mut failures = 0;
    while tried.len() < 12 {
        let leased = take(&mut connection, id, LIMITS).await?;
        assert_eq!(
            leased.len(),
            if failures >= 10 { 1 } else { 8.min(12 - tried.len()) },
            "after {failures}"
        );
        let results: Vec<_> = leased.iter().map(|leased| finished(leased, 503)).collect();
        finish(&mut connection, id, &results, &DeliveryPolicy::default()).await?;
        failures += i32::try_from(results.len())?;
        if failures >= 10 {
            // After an hour without success, the pause between probes is the longest one.
            let longer = "UPDATE webhook_endpoints SET failing_since = now() - interval '1 hour'";
            scene.session.batch_execute(longer).await?;
            let again = streak(1, Duration::from_secs(1));
            let policy = DeliveryPolicy::default();
            delivery::finish(&mut connection, id, &[], again, false, &policy).await?;
            let pause = "hold_until BETWEEN now() + interval '59 s' AND now() + interval '121 s'";
            assert_eq!(count(&scene, &format!("webhook_endpoints WHERE {pause}")).await?, 1);
            assert!(take(&mut connection, id, LIMITS).await?.is_empty(), "the endpoint pauses");
        }
        tried.extend(positions(&leased));
        scene.session.batch_execute("UPDATE webhook_endpoints SET hold_until = '-infinity'").await?;
    }
    tried.sort_unstable();
    assert_eq!(tried, (1..=12).collect::<Vec<_>>());

    // One success, and there are no probes any more.
    scene.session.batch_execute("UPDATE deliveries SET next_attempt_at = now()").await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    assert_eq!(leased.len(), 1);
    finish(&mut connection, id, &[finished(&leased[0], 200)], &DeliveryPolicy::default()).await?;
    assert_eq!(take(&mut connection, id, LIMITS).await?.len(), 8);
    Ok(())
}

#[tokio::test]
async fn results_for_an_endpoint_that_was_removed_are_dropped() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[event(1, 1), event(2, 1)]).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    assert_eq!(operator::remove(&mut connection, id).await?.as_deref(), Some(URL));
    let results = [finished(&leased[0], 200), finished(&leased[1], 500)];
    let recorded = finish(&mut connection, id, &results, &FAST).await?;
    assert_eq!((recorded.state, recorded.parked.len()), (None, 0));
    for table in ["webhook_endpoints", "webhook_secrets", "deliveries", "webhook_attempts"] {
        assert_eq!(count(&scene, table).await?, 0, "{table}");
    }
    Ok(())
}
