//! Checkpoints that cannot be used.

use std::sync::Arc;

use anyhow::{Context, Result};
use reqwest::StatusCode;

use super::support::{Feed, SOON, problem};
use crate::metrics::metric;
use crate::support::{Scene, event};

#[tokio::test]
async fn a_wrong_parameter_is_named() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    let feed = Feed::start(&scene, &[])?;
    let end = feed.end_of(&scene, 1).await?;
    // Of a cluster that this log has never seen.
    scene.session.batch_execute("UPDATE event_log_histories SET history = 7").await?;
    scene.session.batch_execute("UPDATE event_log_state SET history = 7").await?;
    let foreign = end.clone();
    let cut = &end[..27];
    for (query, parameter) in [
        (format!("after={cut}"), "after"),
        (format!("after={foreign}"), "after"),
        (format!("after={foreign}&kind=order_paid"), "after"),
        ("after=".to_owned(), "after"),
        ("after=now&after=now".to_owned(), "after"),
        ("limit=0".to_owned(), "limit"),
        ("limit=1001".to_owned(), "limit"),
        ("kind=order_lost".to_owned(), "kind"),
        ("kinds=order_paid".to_owned(), "?"),
    ] {
        for seconds in [0, 1] {
            let problem = problem(feed.get(&query, seconds).await?, StatusCode::BAD_REQUEST).await?;
            assert_eq!(problem["type"], "/problems/invalid-parameter", "{query}");
            assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
            assert!(problem["detail"].as_str().unwrap_or_default().contains(parameter), "{problem}");
        }
    }
    // Each of the nine twice: those whose text is wrong, and those of another database.
    assert_eq!(metric(feed.admin, "orders_feed_requests_failed_total").await?, 18.0);
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_at_a_position_that_was_never_allocated_is_foreign() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1), event(1, 2)]).await?;
    let feed = Feed::start(&scene, &[])?;
    let end = feed.end_of(&scene, 2).await?;
    feed.stop().await?;
    // As in a database with the same history that was restored to an earlier time.
    scene
        .session
        .batch_execute("DELETE FROM event_log WHERE position = 2; SELECT setval('outbox_id_seq', 1)")
        .await?;
    let feed = Feed::start(&scene, &[])?;
    for seconds in [0, 1] {
        let problem =
            problem(feed.get(&format!("after={end}"), seconds).await?, StatusCode::BAD_REQUEST).await?;
        assert_eq!(problem["errors"][0]["parameter"], "after");
    }
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_that_has_fallen_off_the_log_is_gone() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit((1..=4).map(|order| event(order, 1))).await?;
    let feed = Feed::start(&scene, &[])?;
    scene.until_logged(4).await?;
    let at = async |events: u8| {
        Ok::<_, anyhow::Error>(feed.page(&format!("limit={events}")).await?.checkpoint().to_owned())
    };
    let (first, second) = (at(1).await?, at(2).await?);
    scene.session.batch_execute("UPDATE event_log_state SET missing_up_to = 2").await?;
    for seconds in [0, 1] {
        let problem = problem(feed.get(&format!("after={first}"), seconds).await?, StatusCode::GONE).await?;
        assert_eq!(problem["type"], "/problems/checkpoint-expired");
    }
    assert_eq!(feed.page(&format!("after={second}")).await?.events().len(), 2);
    let start = feed.page("limit=1").await?;
    assert_eq!(start.events()[0]["position"], 3, "the oldest event that the log is sure to have");
    Ok(())
}

#[tokio::test]
async fn while_events_are_not_logged_a_client_is_told_so() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    let feed = Feed::start(&scene, &[])?;
    let end = feed.end_of(&scene, 1).await?;
    testkit::wait::until("the log to be switched off", SOON, || async {
        scene.session.batch_execute("SELECT set_event_log_retention(0)").await
    })
    .await?;
    for query in ["", "after=now"] {
        let response = feed.get(query, 0).await?;
        assert!(response.headers().contains_key("retry-after"));
        let problem = problem(response, StatusCode::SERVICE_UNAVAILABLE).await?;
        assert_eq!(problem["type"], "/problems/event-log-off");
    }
    problem(feed.get(&format!("after={end}"), 0).await?, StatusCode::GONE).await?;
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_beyond_a_failover_is_an_error_that_has_the_one_after_which_the_log_goes_on()
-> Result<()> {
    let scene = Scene::create().await?;
    // All of this happens in the history before the failover. The first event afterwards records the real one.
    let before = "UPDATE event_log_histories SET history = 7; UPDATE event_log_state SET history = 7";
    let feed = Arc::new(Feed::start(&scene, &[])?);
    scene.emit((1..=5).map(|order| event(order, 1))).await?;
    scene.until_logged(5).await?;
    scene.session.batch_execute(before).await?;
    let kept = feed.page("limit=3").await?.checkpoint().to_owned();
    let lost = feed.page("").await?.checkpoint().to_owned();

    let (waiting, query) = (Arc::clone(&feed), format!("after={lost}"));
    let waiting = tokio::spawn(async move { waiting.get(&query, 30).await });
    feed.until_waiting(1.0).await?;
    scene.session.batch_execute("DELETE FROM event_log WHERE position > 3").await?;
    scene.emit([event(9, 1)]).await?;
    let told = problem(waiting.await??, StatusCode::CONFLICT).await?;
    let again = problem(feed.get(&format!("after={lost}"), 0).await?, StatusCode::CONFLICT).await?;
    for member in ["type", "position", "detail"] {
        assert_eq!(told[member], again[member], "{member}");
    }
    assert_eq!(told["type"], "/problems/checkpoint-beyond-failover");
    assert_eq!(told["position"], 3);
    let next = told["checkpoint"].as_str().context("no checkpoint")?;
    for checkpoint in [next, &kept] {
        // The lost positions are a hole.
        let page = feed.page_within(&format!("after={checkpoint}"), 10).await?;
        let positions: Vec<_> = page.events().iter().filter_map(|event| event["position"].as_i64()).collect();
        assert_eq!(positions, [6], "after {checkpoint}");
    }
    Ok(())
}
