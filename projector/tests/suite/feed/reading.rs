//! Pages, filters and sizes.

use anyhow::Result;
use serde_json::json;

use super::support::{Feed, SOON};
use crate::support::{Scene, event};
use shared_events::{OrderChange, OrderEvent};

fn republished(order: u128) -> OrderEvent {
    let event = event(order, 1);
    OrderEvent::new(event.order, event.facts, OrderChange::Republished, event.occurred_at)
}

#[tokio::test]
async fn a_client_that_follows_the_checkpoint_gets_every_event_once_and_versions_in_order() -> Result<()> {
    let scene = Scene::create().await?;
    for version in 1..=4 {
        scene.emit((1..=6).map(|order| event(order, version))).await?;
    }
    let feed = Feed::start(&scene, &[])?;
    scene.until_logged(24).await?;
    let (mut query, mut seen) = (String::new(), Vec::new());
    loop {
        let page = feed.page(&format!("limit=7{query}")).await?;
        seen.extend(page.versions());
        query = format!("&after={}", page.checkpoint());
        assert_eq!(page.has_more(), seen.len() < 24);
        if !page.has_more() {
            assert_eq!(page.events().len(), 3);
            break;
        }
        assert_eq!(page.events().len(), 7);
    }
    for order in 1..=6 {
        let id = crate::support::order_id(order).to_string();
        let versions: Vec<_> =
            seen.iter().filter(|(order, _)| *order == id).map(|(_, version)| *version).collect();
        assert_eq!(versions, [1, 2, 3, 4]);
    }
    let end = feed.page(&query[1..]).await?;
    assert_eq!(
        (end.events().len(), end.has_more(), format!("&after={}", end.checkpoint())),
        (0, false, query)
    );
    Ok(())
}

#[tokio::test]
async fn an_event_is_passed_on_as_it_was_written_even_if_no_read_model_can_use_it() -> Result<()> {
    let scene = Scene::create().await?;
    let payload = r#"{"b" :  [1.50, 1e2], "a": "\u00e4", "b": null}"#;
    scene.emit_raw("order_gift_wrapped", payload).await?;
    let feed = Feed::start(&scene, &[])?;
    scene.until_logged(1).await?;
    let text = feed.get("", 0).await?.error_for_status()?.text().await?;
    assert!(text.contains(&format!("\"data\":{payload}")), "{text}");
    let page = feed.page("").await?;
    assert_eq!(page.kinds(), ["order_gift_wrapped"]);
    assert_eq!(page.events()[0]["position"], 1);
    let recorded_at: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(page.events()[0]["recorded_at"].clone())?;
    assert!((chrono::Utc::now() - recorded_at).to_std()? < SOON, "{recorded_at}");
    Ok(())
}

#[tokio::test]
async fn a_filter_leaves_out_events_but_moves_the_checkpoint_past_them() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1), event(1, 2), republished(1), event(2, 1), republished(2)]).await?;
    let feed = Feed::start(&scene, &[])?;
    let end = feed.end_of(&scene, 5).await?;
    for (query, kinds) in [
        ("", vec!["order_placed", "order_paid", "order_placed"]),
        ("kind=order_paid", vec!["order_paid"]),
        (
            "kind=order_republished&kind=order_paid",
            vec!["order_paid", "order_republished", "order_republished"],
        ),
        ("kind=order_cancelled", vec![]),
    ] {
        let page = feed.page(query).await?;
        assert_eq!(
            (page.kinds(), page.has_more(), page.checkpoint()),
            (kinds, false, end.as_str()),
            "{query}"
        );
    }
    // Events that are left out never make a client ask again: the first page already says that there is no more.
    let first = feed.page("limit=1&kind=order_paid").await?;
    assert_eq!((first.has_more(), first.checkpoint()), (false, end.as_str()));
    Ok(())
}

#[tokio::test]
async fn a_client_that_waits_is_not_stopped_by_many_events_that_it_does_not_want() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit_all(&(1..=1_500).map(republished).collect::<Vec<_>>()).await?;
    scene.emit([event(1, 2)]).await?;
    let feed = Feed::start(&scene, &[])?;
    scene.until_logged(1_501).await?;
    let page = feed.page_within("limit=3", 10).await?;
    assert_eq!(page.kinds(), ["order_paid"]);
    let page = feed.page("limit=3").await?;
    assert_eq!((page.kinds(), page.has_more()), (vec![], true), "without waiting, one read");
    Ok(())
}

#[tokio::test]
async fn a_response_has_a_megabyte_or_one_larger_event() -> Result<()> {
    let scene = Scene::create().await?;
    let text = |bytes: usize| json!({ "text": "x".repeat(bytes) }).to_string();
    for bytes in [300_000, 300_000, 300_000, 300_000, 3 << 20, 10] {
        scene.emit_raw("order_gift_wrapped", &text(bytes)).await?;
    }
    let feed = Feed::start(&scene, &[])?;
    scene.until_logged(6).await?;
    let (mut after, mut sizes) = (String::new(), Vec::new());
    loop {
        let page = feed.page(&format!("limit=1000{after}")).await?;
        sizes.push(page.events().len());
        after = format!("&after={}", page.checkpoint());
        if !page.has_more() {
            break;
        }
    }
    assert_eq!(sizes, [3, 1, 1, 1]);
    Ok(())
}

#[tokio::test]
async fn now_is_after_all_events_that_were_logged_before() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit((1..=3).map(|order| event(order, 1))).await?;
    let feed = Feed::start(&scene, &[])?;
    scene.until_logged(3).await?;
    // The low-water mark passes them within a moment.
    let now = testkit::wait::until("now to be after the three", SOON, || async {
        let page = feed.page("after=now").await.map_err(|error| error.to_string())?;
        if page.events().is_empty() { Ok(page) } else { Err(format!("{page:?}")) }
    });
    let now = now.await?;
    assert_eq!(now.checkpoint(), feed.page("").await?.checkpoint());
    scene.emit([event(1, 2)]).await?;
    let page = feed.page_within(&format!("after={}", now.checkpoint()), 10).await?;
    assert_eq!(page.kinds(), ["order_paid"]);
    Ok(())
}
