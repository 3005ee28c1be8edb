//! The clock was ahead, and was corrected: times that were stored meanwhile delay no delivery.

use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use projector::outbox::low_water_mark::queries::ServerRun;
use projector::webhooks::delivery::{
    self, Backlogs, DUE_MAX, EndpointState, PausedReason, Streak, Take, Writers,
};
use projector::webhooks::store::{Latest, correct_times, observe, poll};

use super::support::{FAST, LIMITS, add, count, deliver, finish, finished, positions, streak, take};
use crate::support::{Scene, event};

pub(super) const LATEST: Latest = Latest {
    due_in: Duration::from_hours(3),
    lease_ends_in: Duration::from_mins(2),
    probe_in: Duration::from_mins(3),
};

#[tokio::test]
async fn what_waits_for_longer_than_any_pause_or_lease_is_due() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[1, 2, 3, 4].map(|order| event(order, 1))).await?;
    let ahead = "UPDATE webhook_endpoints SET hold_until = now() + interval '4 hours';
        UPDATE deliveries SET next_attempt_at = now() + interval '4 hours' WHERE position = 1;
        UPDATE deliveries SET next_attempt_at = now() + interval '5 min', leased_until = now() + interval '5 min'
            WHERE position = 2;
        UPDATE deliveries SET next_attempt_at = now() + interval '2 hours', failures = 1, first_failed_at = now()
            WHERE position = 3;
        UPDATE deliveries SET next_attempt_at = now() + interval '1 min', leased_until = now() + interval '1 min'
            WHERE position = 4";
    scene.session.batch_execute(ahead).await?;
    assert!(take(&mut connection, id, LIMITS).await?.is_empty());

    correct_times(&mut connection, id, LATEST).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    assert_eq!(positions(&leased), [1, 2], "a pause and a lease that can be right stay");
    Ok(())
}

#[tokio::test]
async fn an_endpoint_is_held_for_no_longer_than_a_probes_pause_or_what_it_asked_for() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    for (hold, asked, expected) in [
        ("2 min", "-1 min", "2 min"),
        ("4 min", "-1 min", "-1 min"),
        ("4 min", "1 min", "1 min"),
        ("2 hours", "2 hours", "2 hours"),
        ("4 hours", "2 hours", "2 hours"),
        ("4 hours", "4 hours", "-1000 years"),
    ] {
        let held = format!(
            "UPDATE webhook_endpoints
             SET hold_until = now() + interval '{hold}', asked_until = now() + interval '{asked}'"
        );
        scene.session.batch_execute(&held).await?;
        correct_times(&mut connection, id, LATEST).await?;
        let expected = format!(
            "webhook_endpoints WHERE hold_until <= now() + interval '{expected}'
                 AND (hold_until > now() + interval '{expected}' - interval '30 s' OR hold_until = '-infinity')"
        );
        assert_eq!(count(&scene, &expected).await?, 1, "{hold}, {asked}");
    }
    Ok(())
}

#[tokio::test]
async fn a_delivery_that_was_never_tried_waits_only_for_a_refused_one_of_its_order() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[event(1, 1), event(1, 2), event(2, 1), event(2, 2)]).await?;
    let ahead = "UPDATE deliveries SET next_attempt_at = now() + interval '90 min';
        UPDATE deliveries SET failures = 1, first_failed_at = now() WHERE position = 1";
    scene.session.batch_execute(ahead).await?;
    correct_times(&mut connection, id, LATEST).await?;
    assert_eq!(count(&scene, "deliveries WHERE next_attempt_at > now() AND position <= 2").await?, 2);
    assert_eq!(count(&scene, "deliveries WHERE next_attempt_at <= now() AND position > 2").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_first_failure_that_was_recorded_while_the_clock_was_ahead_counts_from_now_on() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    for _ in 0..2 {
        let due = "UPDATE webhook_endpoints SET hold_until = '-infinity';
                   UPDATE deliveries SET next_attempt_at = now()";
        scene.session.batch_execute(due).await?;
        let leased = take(&mut connection, id, LIMITS).await?;
        finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
        let ahead = "UPDATE webhook_endpoints SET failing_since = failing_since + interval '30 days';
                     UPDATE deliveries SET first_failed_at = first_failed_at + interval '30 days'";
        scene.session.batch_execute(ahead).await?;
    }
    let in_30_days = "first_failed_at < now() + interval '31 days'";
    assert_eq!(count(&scene, &format!("deliveries WHERE {in_30_days}")).await?, 1);
    let in_30_days = "failing_since < now() + interval '31 days'";
    assert_eq!(count(&scene, &format!("webhook_endpoints WHERE {in_30_days}")).await?, 1);
    Ok(())
}

/// Each would end a streak of failures when its time comes.
#[tokio::test]
async fn successes_that_were_recorded_while_the_clock_was_ahead_are_forgotten() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[1, 2, 3].map(|order| event(order, 1))).await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    let results = [finished(&leased[0], 200), finished(&leased[1], 200), finished(&leased[2], 500)];
    finish(&mut connection, id, &results, &FAST).await?;
    let ahead = "UPDATE webhook_attempts SET attempted_at = now() + interval '1 hour' WHERE position <> 2";
    scene.session.batch_execute(ahead).await?;
    correct_times(&mut connection, id, LATEST).await?;
    let kept = "SELECT array_agg(position ORDER BY position) FROM webhook_attempts";
    let kept = scene.session.query_one(kept, &[]).await?;
    assert_eq!(kept.get::<_, Vec<i64>>(0), [2, 3], "a failure counts for nothing later");
    Ok(())
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_by_days_neither_parks_an_event_nor_pauses_the_endpoint() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[event(1, 1), event(2, 1)]).await?;
    for _ in 0..5 {
        let leased = take(&mut connection, id, LIMITS).await?;
        let results: Vec<_> = leased.iter().map(|leased| finished(leased, 500)).collect();
        let recorded = finish(&mut connection, id, &results, &FAST).await?;
        assert_eq!((recorded.state, recorded.parked.len()), (Some(EndpointState::Active), 0));
        // As if the clock had jumped: all that was stored lies far back.
        let jump = "UPDATE webhook_endpoints SET failing_since = now() - interval '30 days', hold_until = '-infinity';
                    UPDATE deliveries SET first_failed_at = now() - interval '30 days', next_attempt_at = now()";
        scene.session.batch_execute(jump).await?;
    }
    // The endpoint is well, and only this event is refused.
    scene.session.batch_execute("UPDATE webhook_endpoints SET failures = 0, failing_since = NULL").await?;
    let leased = take(&mut connection, id, LIMITS).await?;
    let recorded = finish(&mut connection, id, &[finished(&leased[0], 500)], &FAST).await?;
    assert_eq!(recorded.parked.len(), 0);
    Ok(())
}

/// At a busy endpoint, many requests fail within a moment.
#[tokio::test]
async fn a_clock_that_jumps_ahead_in_an_outage_does_not_pause_the_endpoint() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    let jump = "UPDATE webhook_endpoints SET failures = 100, failing_since = now() - interval '30 days'";
    scene.session.batch_execute(jump).await?;
    let paused = EndpointState::Paused(PausedReason::NothingSucceeded);
    for (minutes, state) in [(59, EndpointState::Active), (60, paused)] {
        let streak = Streak { observed: Duration::from_mins(minutes), ..streak(1, Duration::ZERO) };
        let recorded = delivery::finish(&mut connection, id, &[], streak, false, &FAST).await?;
        assert_eq!(recorded.state, Some(state), "{minutes}");
    }
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_set_back_by_a_day_stops_nothing() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &(1..=20).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    assert_eq!(take(&mut connection, id, LIMITS).await?.len(), 8);
    let back = "UPDATE deliveries SET next_attempt_at = next_attempt_at + interval '1 day',
                    leased_until = leased_until + interval '1 day' WHERE leased_until IS NOT NULL;
                UPDATE webhook_endpoints SET recovered_at = now() + interval '1 day'";
    scene.session.batch_execute(back).await?;
    assert_eq!(take(&mut connection, id, LIMITS).await?.len(), 8, "such leases do not count");
    correct_times(&mut connection, id, LATEST).await?;
    assert_eq!(count(&scene, "webhook_endpoints WHERE recovered_at <= now()").await?, 1);
    scene
        .session
        .batch_execute("UPDATE deliveries SET leased_until = NULL WHERE position BETWEEN 9 AND 16")
        .await?;
    assert_eq!(take(&mut connection, id, LIMITS).await?.len(), 8);
    Ok(())
}

/// A projector keeps floors in memory, also across a correction of the clock.
#[tokio::test]
async fn a_floor_that_was_found_while_the_clock_was_ahead_hides_no_delivery() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    let backlogs = Backlogs::default();
    let find = || {
        let run = ServerRun { started: 1, stats_reset: 1 };
        let (now, answered) = (Utc::now() + TimeDelta::days(1), Instant::now());
        backlogs.settle(Writers { transactions: Vec::new(), now, run, asked: answered, answered });
        backlogs.polled(&backlogs.ask().0, id, 1, true, None);
        assert!(backlogs.floor(id) > Utc::now());
    };
    find();
    assert_eq!(delivery::rooms(&mut connection, &[id], &backlogs).await?, [(id, DUE_MAX - 1)]);
    assert_eq!(observe(&mut connection, &backlogs).await?[0].waiting, 1);
    assert!(poll(&mut connection, &backlogs).await?[0].is_due);
    find();
    let taken = delivery::take(&mut connection, id, LIMITS, &backlogs).await?;
    assert!(matches!(taken, Take::Taken(taken) if positions(&taken.deliveries) == [1]));
    Ok(())
}
