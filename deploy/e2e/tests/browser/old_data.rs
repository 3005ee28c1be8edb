//! Old data and unknown customers must not mislead.

use anyhow::Result;

use crate::accessibility::obstacles;
use crate::scene::Scene;

const AS_OF: &str = "not live, as of ";

#[tokio::test]
async fn an_unknown_customer_is_not_shown_as_loaded() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    for (width, name) in [(1100, "unknown-customer"), (390, "unknown-customer-phone")] {
        browser.set_appearance(width, "light").await?;
        scene.open("customer=alicia").await?;
        browser.until_texts("#none", &["No orders of alicia"]).await?;
        let check = "Check the customer id: it must match exactly, including upper and lower case.";
        browser.until_texts("#check-id", &[check]).await?;
        browser.until_texts("#list", &[""; 0]).await?;
        browser.until_texts("#clear", &[""; 0]).await?;
        browser.until_texts("#state", &["live"]).await?;
        assert_eq!(obstacles(browser).await?, [""; 0]);
        browser.screenshot(name).await?;
        browser.open("about:blank").await?;
    }
    // The first order appears without a reload.
    scene.open("customer=bob").await?;
    browser.until_texts("#none", &["No orders of bob"]).await?;
    browser.until_texts("#state", &["live"]).await?;
    let order = crate::scene::Order { customer: "bob", total_cents: 5, item_count: 1, sku: "TEA" };
    scene.place_order(99, &order).await?;
    browser.until_texts("caption", &["bob: orders, newest first"]).await?;
    browser.until_texts("tbody .total", &["0.05"]).await?;
    browser.until_texts("#empty", &[""; 0]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn a_filter_without_results_can_be_cleared() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("customer=alice&status=cancelled&status=delivered").await?;
    browser.until_texts("#none", &["No cancelled or delivered orders of alice"]).await?;
    browser.until_texts("#check-id", &[""; 0]).await?;
    browser.until_texts("#list", &[""; 0]).await?;
    browser.click("#clear").await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.until_texts("#empty", &[""; 0]).await?;
    browser.until("return document.querySelectorAll('#statuses :checked').length === 0").await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn data_is_marked_as_old_while_the_page_reconnects() -> Result<()> {
    let Some(mut scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    let is_old = format!("return document.querySelector('caption').textContent.includes({AS_OF:?})");
    assert_eq!(scene.browser.run(&is_old).await?, false, "it is live");
    scene.stop()?;
    for (width, scheme, name) in [(1100, "light", "old"), (390, "dark", "old-phone")] {
        scene.browser.set_appearance(width, scheme).await?;
        scene.browser.until_texts("#state", &["reconnecting…"]).await?;
        scene.browser.until(&is_old).await?;
        assert_eq!(obstacles(&scene.browser).await?, [""; 0], "{name}");
        scene.browser.screenshot(name).await?;
        // The view of one order is marked too.
        scene.browser.click("tbody tr:nth-child(2) .open").await?;
        let says_so = "return document.getElementById('detail-age').checkVisibility()
            && document.getElementById('detail-age').textContent.startsWith('Not live, as of ')";
        scene.browser.until(says_so).await?;
        assert_eq!(obstacles(&scene.browser).await?, [""; 0], "{name}, one order");
        scene.browser.screenshot(&format!("{name}-order")).await?;
        scene.browser.click("#close").await?;
    }
    scene.start_again(&[]).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.browser.until_texts("caption", &["alice: orders, newest first"]).await?;
    scene.browser.until_texts("#detail-age", &[""; 0]).await?;

    // The same for a list without an order.
    scene.open("customer=bob").await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.stop()?;
    scene
        .browser
        .until("return document.getElementById('none').textContent.startsWith('No orders of bob · not live')")
        .await
}
