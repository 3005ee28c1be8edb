//! Requests that wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::StatusCode;
use testkit::wait;

use super::support::{Feed, SOON, problem};
use crate::metrics::metric;
use crate::support::{Scene, event};

#[tokio::test]
async fn a_request_that_waits_gets_the_next_event_at_once() -> Result<()> {
    let scene = Scene::create().await?;
    let feed = Arc::new(Feed::start(&scene, &[])?);
    let mut checkpoint = feed.page("").await?.checkpoint().to_owned();
    let mut delays = Vec::new();
    for order in 1..=9 {
        let (waiting, query) = (Arc::clone(&feed), format!("after={checkpoint}"));
        let waiting = tokio::spawn(async move {
            let page = waiting.page_within(&query, 30).await?;
            anyhow::Ok((page, Instant::now()))
        });
        feed.until_waiting(1.0).await?;
        scene.emit([event(order, 1)]).await?;
        let emitted = Instant::now();
        let (page, received) = waiting.await??;
        assert_eq!(page.events().len(), 1);
        delays.push(received.saturating_duration_since(emitted));
        page.checkpoint().clone_into(&mut checkpoint);
    }
    delays.sort_unstable();
    assert!(delays[4] < Duration::from_millis(250), "{delays:?}");
    Ok(())
}

#[tokio::test]
async fn without_an_event_the_wait_ends_in_time_with_the_same_checkpoint() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    let feed = Feed::start(&scene, &[])?;
    let end = feed.end_of(&scene, 1).await?;
    let start = Instant::now();
    let response = feed.get(&format!("after={end}"), 1).await?.error_for_status()?;
    assert_eq!(response.headers().get("preference-applied").context("no header")?, "wait=1");
    assert_eq!(response.headers().get("cache-control").context("no header")?, "no-store");
    let page: serde_json::Value = response.json().await?;
    assert_eq!(page, serde_json::json!({ "events": [], "checkpoint": end, "has_more": false }));
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(10)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn all_requests_that_wait_for_an_event_share_the_reads_of_the_log() -> Result<()> {
    const REQUESTS: u32 = 200;
    let scene = Scene::create().await?;
    let feed = Arc::new(Feed::start(&scene, &[])?);
    let start = feed.page("").await?.checkpoint().to_owned();
    let waiting: Vec<_> = (0..REQUESTS)
        .map(|number| {
            // Different limits, so that the responses differ.
            let (feed, query) = (Arc::clone(&feed), format!("after={start}&limit={}", 1 + number % 4));
            tokio::spawn(async move { feed.page_within(&query, 30).await })
        })
        .collect();
    feed.until_waiting(REQUESTS.into()).await?;
    let before = metric(feed.admin, "orders_feed_reads_total").await?;
    scene.emit([event(1, 1)]).await?;
    for request in waiting {
        assert_eq!(request.await??.events().len(), 1);
    }
    let reads = metric(feed.admin, "orders_feed_reads_total").await? - before;
    assert!(reads <= 5.0, "{reads} reads for one event");
    feed.until_waiting(0.0).await?;
    Ok(())
}

#[tokio::test]
async fn a_request_that_would_wait_beyond_the_maximum_is_refused_until_another_one_ends() -> Result<()> {
    let scene = Scene::create().await?;
    let feed = Arc::new(Feed::start(&scene, &[("FEED_WAITERS", "2")])?);
    let query = format!("after={}", feed.page("").await?.checkpoint());
    let waiting = [(); 2].map(|()| {
        let (feed, query) = (Arc::clone(&feed), query.clone());
        tokio::spawn(async move { feed.page_within(&query, 30).await })
    });
    feed.until_waiting(2.0).await?;
    assert_eq!(metric(feed.admin, "orders_feed_waiting_max").await?, 2.0);
    let refused = feed.get(&query, 30).await?;
    assert_eq!(refused.headers().get("retry-after").context("no header")?, "1");
    let refused = problem(refused, StatusCode::SERVICE_UNAVAILABLE).await?;
    assert_eq!(refused["type"], "/problems/unavailable");
    assert_eq!(feed.page(&query).await?.events().len(), 0, "who does not wait gets a response");
    scene.emit([event(1, 1)]).await?;
    // Behind all events: only a request that has to wait needs a slot.
    let mut end = String::new();
    for request in waiting {
        let page = request.await??;
        assert_eq!(page.events().len(), 1);
        end = format!("after={}", page.checkpoint());
    }
    wait::until("a free slot", SOON, || async {
        let status = feed.get(&end, 1).await.map(|response| response.status());
        if matches!(status, Ok(StatusCode::OK)) {
            Ok(())
        } else {
            Err(status.map_err(|error| error.to_string()))
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn requests_that_wait_for_other_kinds_hold_no_memory_for_events() -> Result<()> {
    const REQUESTS: u32 = 20;
    let scene = Scene::create().await?;
    // Twenty reads of this are more than the budget.
    scene.emit_raw("order_gift_wrapped", &format!("\"{}\"", "x".repeat(900_000))).await?;
    let feed = Arc::new(Feed::start(&scene, &[("FEED_BUDGET_BYTES", "16777216")])?);
    scene.until_logged(1).await?;
    let mut waiting = Vec::new();
    for number in 1..=REQUESTS {
        let waiter = Arc::clone(&feed);
        waiting.push(tokio::spawn(async move { waiter.page_within("kind=order_placed", 30).await }));
        feed.until_waiting(f64::from(number)).await?;
    }
    assert_eq!(feed.page("limit=1").await?.events().len(), 1, "others are served");
    scene.emit([event(1, 1)]).await?;
    for request in waiting {
        assert_eq!(request.await??.events().len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn requests_that_wait_get_their_response_when_the_process_stops() -> Result<()> {
    let scene = Scene::create().await?;
    let feed = Feed::start(&scene, &[])?;
    let after = feed.page("").await?.checkpoint().to_owned();
    let url = format!("{}/events?after={after}", feed.url);
    let request = reqwest::Client::new().get(url).header("prefer", "wait=30").send();
    let request = tokio::spawn(request);
    feed.until_waiting(1.0).await?;
    let start = Instant::now();
    feed.stop().await?;
    let page: serde_json::Value = request.await??.error_for_status()?.json().await?;
    assert_eq!(page["checkpoint"], after);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    Ok(())
}
