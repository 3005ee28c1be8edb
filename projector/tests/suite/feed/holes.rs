//! Events behind a transaction that has not ended.

use std::sync::Arc;

use anyhow::Result;

use super::support::Feed;
use crate::metrics::until_metric;
use crate::support::{Scene, event};

async fn kinds_after(end: &str) -> Result<Vec<String>> {
    let scene = Scene::create().await?;
    let feed = Arc::new(Feed::start(&scene, &[])?);
    let start = feed.page("").await?.checkpoint().to_owned();
    let writer = scene.database.connect().await?;
    writer.batch_execute(Scene::BEGIN_EVENT).await?;
    scene.emit([event(1, 1)]).await?;
    scene.until_logged(1).await?;
    let query = format!("after={start}");
    let page = feed.page(&query).await?;
    assert_eq!((page.events().len(), page.has_more(), page.checkpoint()), (0, false, start.as_str()));
    let page = feed.page_within(&query, 1).await?;
    assert_eq!((page.events().len(), page.checkpoint()), (0, start.as_str()), "the wait went past the hole");

    let (waiting, after) = (Arc::clone(&feed), query.clone());
    let waiting = tokio::spawn(async move { waiting.page_within(&after, 30).await });
    feed.until_waiting(1.0).await?;
    // It was reported, so the process looks every 10 ms whether it is settled, instead of every 10 s.
    until_metric(feed.admin, "orders_event_log_hole_age_seconds", |age| age > 0.0).await?;
    writer.batch_execute(end).await?;
    let first = waiting.await??;
    let mut kinds: Vec<_> = first.kinds().into_iter().map(str::to_owned).collect();
    let rest = feed.page(&format!("after={}", first.checkpoint())).await?;
    kinds.extend(rest.kinds().into_iter().map(str::to_owned));
    Ok(kinds)
}

#[tokio::test]
async fn an_event_behind_a_hole_comes_once_the_hole_is_known_to_stay() -> Result<()> {
    assert_eq!(kinds_after("ROLLBACK").await?, ["order_placed"]);
    Ok(())
}

#[tokio::test]
async fn an_event_that_commits_late_comes_before_those_that_were_written_after_it() -> Result<()> {
    assert_eq!(kinds_after("COMMIT").await?, ["order_gift_wrapped", "order_placed"]);
    Ok(())
}
