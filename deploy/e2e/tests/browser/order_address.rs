//! The address of an order: how it is opened, found and closed.

use anyhow::Result;

use crate::scene::{Order, Scene, id};

const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";

const IS_OPEN: &str = "return document.getElementById('detail').open";
const IS_CLOSED: &str = "return !document.getElementById('detail').open";

/// A click opens an order after 250 ms. A longer timer that is set later ends later.
const AFTER_ANY_OPENING: &str = "return new Promise((done) => setTimeout(done, 300))";

fn is_at(fragment: &str) -> String {
    format!("return location.hash === '#{fragment}'")
}

#[tokio::test]
async fn an_order_closes_by_every_way_and_the_focus_returns_to_its_row() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("customer=alice").await?;
    browser.until_texts("#state", &["live"]).await?;
    for way in ["button", "Escape", "Back", "backdrop"] {
        // A click anywhere on the row opens it.
        browser.click_at(("tbody tr:nth-child(2) .total", 0.1), 1).await?;
        browser.until(IS_OPEN).await?;
        browser.until(&is_at(&format!("order={}", id(44)))).await?;
        match way {
            "button" => browser.click("#close").await?,
            "Escape" => browser.press(ESCAPE).await?,
            "Back" => browser.back().await?,
            _ => browser.click_at(("header", 0.0), 1).await?,
        }
        browser.until(IS_CLOSED).await?;
        browser.until(&is_at("customer=alice")).await?;
        let is_focused = "document.activeElement === document.querySelectorAll('.open')[1]";
        browser.until(&format!("return {is_focused}")).await?;
        scene.until_orders((26..=45).rev()).await?;
    }
    // Selecting text in the dialog and letting go beside it does not close it.
    browser.press(ENTER).await?;
    browser.until(IS_OPEN).await?;
    browser
        .until_texts("#no-lines-sku, #lines", &["3 items; the last one is CUP-PORCELAIN-BLUE-200ML."])
        .await?;
    browser.drag(("#detail-id .copyable span", 0.5), ("header", 0.0)).await?;
    browser.click_at(("#detail-title", 0.5), 1).await?;
    assert_eq!(browser.run(IS_OPEN).await?, true);
    scene.is_quiet().await
}

#[tokio::test]
async fn a_pasted_order_id_opens_the_order_over_its_customers_list() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.place_order(99, &Order { customer: "bob", total_cents: 5, item_count: 1, sku: "TEA" }).await?;
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.fill("#search-text", &format!(" {} ", id(99))).await?;
    browser.press(ENTER).await?;
    browser.until(IS_OPEN).await?;
    browser.until_texts("#detail-total", &["0.05"]).await?;
    browser.until_texts("caption", &["bob: orders, newest first"]).await?;
    // Back leads to what was there before the search.
    browser.back().await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.until(IS_CLOSED).await?;

    // The address works by itself and stays after a reload; closing shows the customer.
    browser.open("about:blank").await?;
    scene.open(&format!("order={}", id(99))).await?;
    browser.until_texts("#detail-total", &["0.05"]).await?;
    browser.run("location.reload()").await?;
    browser.until_texts("#detail-total", &["0.05"]).await?;
    browser.press(ESCAPE).await?;
    browser.until(&is_at("customer=bob")).await?;
    scene.until_orders([99]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn an_address_with_another_form_of_the_id_follows_the_order_too() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    let (in_capitals, without_hyphens) = (id(44).to_uppercase(), id(43).replace('-', ""));
    for (number, address) in [(44, in_capitals), (43, without_hyphens)] {
        browser.open("about:blank").await?;
        scene.open(&format!("order={address}")).await?;
        browser.until_texts("#detail-status", &["placed"]).await?;
        browser.until_texts("#state", &["live"]).await?;
        scene.change(number, "paid").await?;
        browser.until_texts("#detail-status", &["paid"]).await?;
    }
    scene.is_quiet().await
}

#[tokio::test]
async fn an_unknown_order_is_shown_as_soon_as_it_arrives() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open(&format!("order={}", id(99))).await?;
    browser.until_texts("#missing strong", &["There is no order with this id."]).await?;
    let is_at_the_right = "const right = (id) => document.getElementById(id).getBoundingClientRect().right;
        return right('detail') - right('close') < 50";
    assert_eq!(browser.run(is_at_the_right).await?, true, "the close button");
    scene.place_order(99, &Order { customer: "bob", total_cents: 5, item_count: 1, sku: "TEA" }).await?;
    browser.until_texts("#detail-total", &["0.05"]).await?;
    browser.until_texts("#missing", &[""; 0]).await?;

    // A customer's id may look like an order's.
    browser.open("about:blank").await?;
    let customer = "0193a0c0-5f6e-7c1a-9d7e-000000000001";
    scene.place_order(98, &Order { customer, total_cents: 5, item_count: 1, sku: "TEA" }).await?;
    scene.open("").await?;
    browser.fill("#search-text", customer).await?;
    browser.press(ENTER).await?;
    browser.click("#as-customer").await?;
    scene.until_orders([98]).await?;
    browser.until(IS_CLOSED).await
}

#[tokio::test]
async fn selecting_text_in_a_row_opens_nothing() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("customer=alice").await?;
    browser.until_texts("#state", &["live"]).await?;
    let link = "tbody tr:nth-child(2) .open";
    browser.drag((link, 0.0), (link, 1.0)).await?;
    assert_eq!(browser.selection().await?, id(44));
    browser.run(AFTER_ANY_OPENING).await?;
    assert_eq!(browser.run(IS_CLOSED).await?, true);
    browser.click_at(("tbody tr:nth-child(4) .sku", 0.1), 2).await?;
    assert_ne!(browser.selection().await?, "");
    browser.run(AFTER_ANY_OPENING).await?;
    assert_eq!(browser.run(IS_CLOSED).await?, true);
    browser.click_at(("tbody tr:nth-child(6) .total", 0.1), 1).await?;
    browser.until(IS_OPEN).await?;
    browser.until_texts("#detail-id", &[id(40)]).await?;
    assert_eq!(browser.run("return history.length").await?, 3, "blank, the list, one order");
    // The keyboard opens an order also while text is selected.
    browser.press(ESCAPE).await?;
    browser.until(IS_CLOSED).await?;
    browser.drag((link, 0.0), (link, 1.0)).await?;
    assert_eq!(browser.selection().await?, id(44));
    browser.press(ENTER).await?;
    browser.until_texts("#detail-id", &[id(44)]).await?;
    scene.is_quiet().await
}
