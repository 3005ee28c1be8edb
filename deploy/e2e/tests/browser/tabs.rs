//! Many tabs. Over HTTP/1.1 a browser opens six connections to a host for all its tabs.

use anyhow::Result;
use serde_json::json;

use crate::scene::{Scene, id};

/// Records each later request of the page.
const NOTE_REQUESTS: &str = "const real = window.fetch; window.requests = [];
    window.fetch = (path, options) => { window.requests.push(path); return real(path, options); };";

#[tokio::test]
async fn eight_tabs_all_work_and_a_tab_catches_up_when_it_is_shown_again() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    let mut tabs = vec![browser.tab().await?];
    scene.open("customer=alice").await?;
    browser.until_texts("#state", &["live"]).await?;
    browser.run(NOTE_REQUESTS).await?;
    for _ in 1..8 {
        tabs.push(browser.new_tab().await?);
        scene.open("customer=alice").await?;
        scene.until_orders((26..=45).rev()).await?;
        browser.until_texts("#state", &["live"]).await?;
    }

    scene.change(40, "delivered").await?;
    scene.place(46).await?;
    scene.until_orders((26..=46).rev()).await?;
    for tab in &tabs {
        browser.show_tab(tab).await?;
        scene.until_orders((26..=46).rev()).await?;
        browser.until_texts("tr:has(.status[data-status=delivered]) .open", &[id(40)]).await?;
        browser.until_texts("#state", &["live"]).await?;
    }
    // It resumed: one stream, from its last id, and no data was loaded again.
    browser.show_tab(&tabs[0]).await?;
    browser.until_texts("#state", &["live"]).await?;
    let requests: Vec<String> = serde_json::from_value(browser.run("return window.requests").await?)?;
    let resumed = |path: &String| path.contains("/stream?last_event_id=");
    assert!(!requests.is_empty() && requests.iter().all(resumed), "{requests:?}");
    scene.is_quiet().await
}

#[tokio::test]
async fn a_tab_opened_in_the_background_loads_when_it_is_shown() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("").await?;
    // Six of them would take all connections.
    for _ in 0..6 {
        let url = format!("{}/#customer=alice", scene.url);
        browser.devtools("Target.createTarget", json!({"url": url, "background": true})).await?;
    }
    browser.run("location.hash = 'customer=alice'").await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.until_texts("#state", &["live"]).await?;
    let first = browser.tab().await?;
    let others: Vec<_> = browser.tabs().await?.into_iter().filter(|tab| *tab != first).collect();
    assert_eq!(others.len(), 6);
    for tab in others {
        browser.show_tab(&tab).await?;
        scene.until_orders((26..=45).rev()).await?;
        browser.until_texts("#state", &["live"]).await?;
    }
    scene.is_quiet().await
}

#[tokio::test]
async fn a_list_without_a_connection_closes_the_stream_to_get_one() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("").await?;
    // As with visible windows side by side: with the stream of this page, their streams use all connections.
    browser
        .run("window.others = [1, 2, 3, 4, 5].map(() => new EventSource('/customers/carol/orders/stream'))")
        .await?;
    browser.until("return window.others.every((stream) => stream.readyState === EventSource.OPEN)").await?;
    browser.run("location.hash = 'customer=alice'").await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.until_texts("#state", &["live"]).await?;
    scene.change(40, "delivered").await?;
    browser.until_texts("tr:has(.status[data-status=delivered]) .open", &[id(40)]).await?;
    scene.is_quiet().await
}
