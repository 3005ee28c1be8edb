//! Search, filter, pages, one order.

use anyhow::Result;

use crate::scene::{Scene, id};

/// Keys as in `WebDriver`.
const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";

#[tokio::test]
async fn a_search_for_a_customer_shows_the_newest_orders() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("").await?;
    scene.browser.until_texts("#state", &["not watching"]).await?;
    scene.browser.fill("#search-text", "alice").await?;
    scene.browser.press(ENTER).await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.browser.until_texts("caption", &["alice: orders, newest first"]).await?;
    let first = scene.browser.texts("tbody tr:first-child td").await?;
    assert!(
        matches!(first.as_slice(), [order, status, items, total]
        if order.starts_with(&format!("{} Nov 23, 2026, 10:45 AM UTC ", id(45))) && status == "paid"
            && items == "1 item TEA-EARL-GREY" && total == "64.99"),
        "{first:?}"
    );

    scene.browser.fill("#search-text", "bob").await?;
    scene.browser.click("#search button").await?;
    scene.browser.until_texts("#none", &["No orders of bob"]).await?;
    scene.until_orders([]).await?;
    scene.browser.back().await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn pages_lead_to_older_orders_and_back() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#pages a[href]", &["Older →"]).await?;
    scene.browser.click("#older").await?;
    scene.until_orders((6..=25).rev()).await?;
    scene.browser.click("#older").await?;
    scene.until_orders((1..=5).rev()).await?;
    scene.browser.until_texts("#pages a[href]", &["⇤ Newest", "← Newer"]).await?;
    scene.browser.back().await?;
    scene.until_orders((6..=25).rev()).await?;
    scene.browser.click("#newest").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn a_status_narrows_the_list() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.click("#statuses label:has([value=paid])").await?;
    scene.until_orders((1..=15).rev().map(|number| 3 * number)).await?;
    scene.browser.until_texts("caption", &["alice: paid orders, newest first"]).await?;
    // An order that no longer matches disappears; a matching one appears at its position.
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.change(42, "shipped").await?;
    scene.change(44, "paid").await?;
    scene.until_orders([45, 44].into_iter().chain((1..=13).rev().map(|number| 3 * number))).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn an_order_is_opened_with_the_keyboard_and_follows_its_changes() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.browser.run("document.activeElement.blur()").await?;
    for key in ["j", "j", "k", "j", ENTER] {
        scene.browser.press(key).await?;
    }
    scene.browser.until_texts("#detail-id", &[id(44)]).await?;
    scene.browser.until_texts("#detail-status", &["placed"]).await?;
    scene.change(44, "cancelled").await?;
    scene.browser.until_texts("#detail-status", &["cancelled"]).await?;
    scene.browser.press(ESCAPE).await?;
    scene.browser.until("return !document.getElementById('detail').open").await?;
    scene.browser.press("/").await?;
    scene.browser.until("return document.activeElement.id === 'search-text'").await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn errors_of_the_server_are_shown_in_words() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open(&format!("customer={}", "c".repeat(129))).await?;
    scene.browser.until_texts("#problem", &["`customer_id` must have at most 128 characters."]).await?;
    scene.browser.until_texts("#state", &["not watching"]).await
}

#[tokio::test]
async fn a_page_that_a_filter_empties_is_filled_from_older_ones() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice&status=placed").await?;
    let placed: Vec<_> = (1..=45).rev().filter(|number| number % 3 != 0).collect();
    scene.until_orders(placed.iter().copied().take(20)).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    for number in placed.iter().take(20) {
        scene.change(*number, "paid").await?;
    }
    scene.until_orders(placed.iter().copied().skip(20)).await?;
    scene.place(46).await?;
    scene.until_orders([46].into_iter().chain(placed.iter().copied().skip(20))).await?;
    scene.browser.until_texts("caption", &["alice: placed orders, newest first"]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn statuses_selected_before_the_search_apply() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("").await?;
    scene.browser.click("#statuses label:has([value=paid])").await?;
    scene.browser.fill("#search-text", "alice").await?;
    scene.browser.press(ENTER).await?;
    scene.until_orders((1..=15).rev().map(|number| 3 * number)).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn the_focus_stays_when_rows_appear_and_disappear() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice&status=paid").await?;
    scene.until_orders((1..=15).rev().map(|number| 3 * number)).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.browser.run("document.querySelectorAll('.open')[1].focus()").await?;
    scene.change(45, "shipped").await?;
    scene.until_orders((1..=14).rev().map(|number| 3 * number)).await?;
    let focus = "return document.activeElement.textContent";
    scene.browser.until(&format!("{focus} === '{}'", id(42))).await?;
    // The focused order disappears: the next one gets the focus.
    scene.change(42, "shipped").await?;
    scene.until_orders((1..=13).rev().map(|number| 3 * number)).await?;
    scene.browser.until(&format!("{focus} === '{}'", id(39))).await?;
    scene.is_quiet().await
}
