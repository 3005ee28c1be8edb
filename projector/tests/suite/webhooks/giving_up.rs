//! What is given up, and when: an event, or an endpoint.

use std::time::Duration;

use anyhow::Result;
use projector::webhooks::delivery::{self, EndpointState, FinishedAttempt, PausedReason, Streak};
use projector::webhooks::operator;

use super::support::{
    FAST, LIMITS, OVER, add, count, deliver, finish, finished, positions, refused_for, streak, take,
};
use crate::support::{Scene, event};

const URL: &str = "https://hooks.example/orders";

/// Lets the endpoint have been failing for this long.
async fn failing_for(scene: &Scene, time: &str, failures: i32) -> Result<()> {
    let failing = format!(
        "UPDATE webhook_endpoints
         SET failing_since = now() - interval '{time}', failures = {failures}, hold_until = '-infinity'"
    );
    Ok(scene.session.batch_execute(&failing).await?)
}

#[tokio::test]
async fn an_endpoint_at_which_nothing_succeeds_is_paused_and_its_events_wait() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    let leased = take(&mut connection, id, OVER).await?;
    finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
    for (since, failures, expected) in [
        ("71 hours", 50, EndpointState::Active),
        ("73 hours", 18, EndpointState::Active),
        ("73 hours", 19, EndpointState::Paused(PausedReason::NothingSucceeded)),
    ] {
        failing_for(&scene, since, failures).await?;
        refused_for(&scene, since, 50).await?;
        let leased = take(&mut connection, id, OVER).await?;
        let recorded = finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
        assert_eq!((recorded.state, recorded.parked.len()), (Some(expected), 0), "{since}, {failures}");
    }
    assert!(take(&mut connection, id, LIMITS).await?.is_empty());
    let reason = scene.session.query_one("SELECT paused_reason FROM webhook_endpoints", &[]).await?;
    assert_eq!(reason.get::<_, &str>(0), "nothing_succeeded");

    // The lease of a process that has died does not keep the event from getting its full time.
    scene.session.batch_execute("UPDATE deliveries SET leased_until = now() - interval '1 hour'").await?;
    assert!(operator::resume(&mut connection, id).await?);
    let leased = take(&mut connection, id, LIMITS).await?;
    assert_eq!((positions(&leased), leased[0].failures), (vec![1], 0));
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_refused_while_others_succeed_is_parked_and_its_order_goes_on() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[event(1, 1), event(1, 2), event(2, 1)]).await?;
    let leased = take(&mut connection, id, OVER).await?;
    finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
    for (since, failures, parked) in
        [("71 hours", 50, vec![]), ("73 hours", 18, vec![]), ("73 hours", 19, vec![1_i64])]
    {
        refused_for(&scene, since, failures).await?;
        let leased = take(&mut connection, id, LIMITS).await?;
        assert_eq!(positions(&leased), [1, 3]);
        let recorded = finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
        assert_eq!((recorded.state, recorded.parked), (Some(EndpointState::Active), parked), "{since}");
        scene
            .session
            .batch_execute("UPDATE webhook_endpoints SET failures = 0, failing_since = NULL")
            .await?;
    }
    assert_eq!(positions(&take(&mut connection, id, LIMITS).await?), [2], "the next event of its order");
    let parked =
        "SELECT subscription, position, kind, attempts, error, length(traceparent) FROM subscription_parked";
    let parked = scene.session.query_one(parked, &[]).await?;
    assert_eq!(parked.get::<_, String>(0), format!("webhook:{id}"));
    assert_eq!((parked.get::<_, i64>(1), parked.get::<_, i32>(3), parked.get::<_, i32>(5)), (1, 20, 55));
    assert_eq!((parked.get::<_, &str>(2), parked.get::<_, &str>(4)), ("order_placed", "status 500"));
    Ok(())
}

#[tokio::test]
async fn an_event_that_was_refused_during_an_outage_gets_its_full_time_after_it() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[1, 2, 3, 4].map(|order| event(order, 1))).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    let refused: Vec<_> = leased.iter().map(|leased| finished(leased, 500)).collect();
    finish(&mut connection, id, &refused, &FAST).await?;

    // Nothing has succeeded for some days: the endpoint is at fault.
    failing_for(&scene, "74 hours", 9).await?;
    refused_for(&scene, "73 hours", 50).await?;
    let before = "UPDATE deliveries SET first_failed_at = now() - interval '75 hours' WHERE position = 4";
    scene.session.batch_execute(before).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    let recorded = finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
    assert_eq!(recorded.parked.len(), 0);
    // It is back. What it had refused before the outage began is given up.
    let results = [finished(&leased[1], 200), finished(&leased[2], 500), finished(&leased[3], 500)];
    let recorded = finish(&mut connection, id, &results, &FAST).await?;
    assert_eq!(recorded.parked, [4]);
    assert_eq!(count(&scene, "webhook_endpoints WHERE recovered_at > now() - interval '1 min'").await?, 1);

    // Three days later, these events are at fault.
    let later = "UPDATE webhook_endpoints SET recovered_at = now() - interval '73 hours',
                     failures = 0, failing_since = NULL, hold_until = '-infinity'";
    scene.session.batch_execute(later).await?;
    refused_for(&scene, "73 hours", 90).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    let results: Vec<_> = leased.iter().map(|leased| finished(leased, 500)).collect();
    assert_eq!(finish(&mut connection, id, &results, &FAST).await?.parked.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_event_of_an_outage_keeps_its_full_time_after_a_second_one() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[1, 2, 3].map(|order| event(order, 1))).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
    failing_for(&scene, "70 hours", 30).await?;
    finish(&mut connection, id, &[finished(&leased[1], 200)], &FAST).await?;
    // An hour later, an outage of two hours.
    let later = "UPDATE webhook_endpoints SET outage_since = outage_since - interval '3 hours',
                     recovered_at = recovered_at - interval '3 hours'";
    scene.session.batch_execute(later).await?;
    failing_for(&scene, "2 hours", 30).await?;
    finish(&mut connection, id, &[finished(&leased[2], 200)], &FAST).await?;
    for (outages_ended, parked) in [("1 hour", 0), ("73 hours", 1)] {
        let ended = format!("UPDATE webhook_endpoints SET recovered_at = now() - interval '{outages_ended}'");
        scene.session.batch_execute(&ended).await?;
        refused_for(&scene, "72.5 hours", 30).await?;
        let leased = take(&mut connection, id, LIMITS).await?;
        let streak = streak(0, Duration::ZERO);
        let refused = [finished(&leased[0], 500)];
        let recorded = delivery::finish(&mut connection, id, &refused, streak, false, &FAST).await?;
        assert_eq!(recorded.parked.len(), parked, "{outages_ended}");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_does_not_wait_for_the_last_of_outages_that_follow_each_other() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
    // One each night, for a month.
    let outages = "UPDATE webhook_endpoints SET failures = 0, failing_since = NULL, hold_until = '-infinity',
                       outage_since = now() - interval '30 days', recovered_at = now() - interval '5 hours'";
    scene.session.batch_execute(outages).await?;
    for (refused, parked) in [("8 days", 0), ("10 days", 1)] {
        refused_for(&scene, refused, 90).await?;
        let leased = take(&mut connection, id, LIMITS).await?;
        let refused_again = [finished(&leased[0], 500)];
        let streak = streak(0, Duration::ZERO);
        let recorded = delivery::finish(&mut connection, id, &refused_again, streak, false, &FAST).await?;
        assert_eq!(recorded.parked.len(), parked, "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_few_failures_between_successes_are_no_outage_and_are_not_recorded() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[1, 2, 3, 4, 5, 6].map(|order| event(order, 1))).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    let version = async || -> Result<String> {
        let version = "SELECT ctid::text || xmin::text FROM webhook_endpoints";
        Ok(scene.session.query_one(version, &[]).await?.get(0))
    };
    let policy = projector::webhooks::retry::DeliveryPolicy::default();
    let streak = |failures, milliseconds| streak(failures, Duration::from_millis(milliseconds));
    let mut record = async |result: FinishedAttempt, streak| {
        delivery::finish(&mut connection, id, &[result], streak, false, &policy).await
    };
    record(finished(&leased[0], 200), streak(0, 0)).await?;
    let before = version().await?;
    record(finished(&leased[1], 200), streak(0, 0)).await?;
    record(finished(&leased[2], 422), streak(1, 999)).await?;
    assert_eq!(version().await?, before);
    record(finished(&leased[3], 422), streak(2, 7_200_000)).await?;
    // Not since this process has seen only failures: another one may have had a success since.
    let since = "failures = 2 AND failing_since > now() - interval '1 min' AND hold_until < now()";
    assert_eq!(count(&scene, &format!("webhook_endpoints WHERE {since}")).await?, 1);
    record(finished(&leased[4], 422), streak(1, 0)).await?;
    assert_eq!(count(&scene, "webhook_endpoints WHERE failures = 3").await?, 1, "each one from then on");
    failing_for(&scene, "2 hours", 3).await?;
    record(finished(&leased[5], 200), streak(0, 0)).await?;
    let recovered = "failing_since IS NULL AND recovered_at = '-infinity'";
    assert_eq!(count(&scene, &format!("webhook_endpoints WHERE {recovered}")).await?, 1, "three are too few");
    Ok(())
}

#[tokio::test]
async fn a_crowded_endpoint_gives_up_a_refused_event_after_an_hour() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
    scene.session.batch_execute("UPDATE webhook_endpoints SET failures = 0, failing_since = NULL").await?;
    for (since, failures, is_crowded, parked) in
        [("61 min", 7, false, 0), ("59 min", 7, true, 0), ("61 min", 6, true, 0), ("61 min", 7, true, 1)]
    {
        refused_for(&scene, since, failures).await?;
        let leased = take(&mut connection, id, LIMITS).await?;
        let refused = [finished(&leased[0], 500)];
        let recorded =
            delivery::finish(&mut connection, id, &refused, Streak::default(), is_crowded, &FAST).await?;
        assert_eq!(recorded.parked.len(), parked, "{since}, {failures}, {is_crowded}");
    }
    Ok(())
}

#[tokio::test]
async fn the_pause_between_probes_grows_with_the_time_without_success() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, URL).await?.id;
    let policy = projector::webhooks::retry::DeliveryPolicy::default();
    // A second more: time passes between the two statements.
    for (seconds, shortest, longest) in
        [(0, 33, 1_067), (30, 1_000, 3_000), (600, 20_000, 41_000), (6_000, 60_000, 121_000)]
    {
        failing_for(&scene, &format!("{seconds} s"), 9).await?;
        let streak = streak(1, Duration::ZERO);
        delivery::finish(&mut connection, id, &[], streak, false, &policy).await?;
        let pause = "hold_until - failing_since - interval '1 s' * ";
        let within = format!(
            "webhook_endpoints WHERE {pause} {seconds}
                 BETWEEN interval '{shortest} ms' AND interval '{longest} ms'"
        );
        assert_eq!(count(&scene, &within).await?, 1, "{seconds}");
    }
    Ok(())
}
