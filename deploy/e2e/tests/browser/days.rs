//! The filter by day, and the keys that turn pages.

use anyhow::Result;

use crate::scene::{Order, Scene};

const LEFT: &str = "\u{E012}";
const RIGHT: &str = "\u{E014}";

/// Sets a date field, as a date picker does.
fn pick(field: &str, day: &str) -> String {
    format!(
        "const field = document.getElementById('{field}');
        field.value = '{day}';
        field.dispatchEvent(new Event('change', {{ bubbles: true }}))"
    )
}

#[tokio::test]
async fn days_narrow_the_list_and_stay_in_the_address() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.set(44, "placed_at = '2026-11-20 00:00Z'").await?;
    scene.set(43, "placed_at = '2026-11-21 23:59:59.999999Z'").await?;
    scene.set(42, "placed_at = '2026-11-22 00:00Z'").await?;
    scene.open("customer=alice").await?;
    browser.until_texts("caption", &["alice: orders, newest first"]).await?;
    browser.run(&pick("to", "2026-11-21")).await?;
    scene.until_orders([43, 44]).await?;
    browser.until_texts("caption", &["alice: orders placed until Nov 21, 2026, newest first"]).await?;
    browser.run(&pick("from", "2026-11-20")).await?;
    browser
        .until_texts("caption", &["alice: orders placed from Nov 20, 2026 to Nov 21, 2026, newest first"])
        .await?;
    browser.until("return location.hash === '#customer=alice&from=2026-11-20&to=2026-11-21'").await?;
    // What arrives and was placed on another day is not shown.
    browser.until_texts("#state", &["live"]).await?;
    scene.place(46).await?;
    scene.change(43, "paid").await?;
    browser.until_texts("tr.changed .status", &["paid"]).await?;
    scene.until_orders([43, 44]).await?;

    // The address works by itself.
    browser.open("about:blank").await?;
    scene.open("customer=alice&status=paid&from=2026-11-21&to=2026-11-21").await?;
    scene.until_orders([43]).await?;
    browser.until_texts("caption", &["alice: paid orders placed on Nov 21, 2026, newest first"]).await?;
    let fields = "return ['from', 'to'].map((id) => document.getElementById(id).value)";
    assert_eq!(browser.run(fields).await?, serde_json::json!(["2026-11-21", "2026-11-21"]));
    // An empty list names the filter, which can be cleared.
    scene.open("customer=alice&from=2025-01-01&to=2025-01-31").await?;
    browser.until_texts("#none", &["No orders of alice placed from Jan 1, 2025 to Jan 31, 2025"]).await?;
    browser.click("#clear").await?;
    browser.until_texts("caption", &["alice: orders, newest first"]).await?;
    // The server names what is wrong with an address.
    scene.open("customer=alice&from=yesterday").await?;
    let problem = "`placed_from` must be a time in RFC 3339 format, such as 2026-11-23T10:00:00Z \
        (write + as %2B).";
    browser.until_texts("#problem", &[problem]).await
}

#[tokio::test]
async fn keys_turn_pages() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.press(RIGHT).await?;
    scene.until_orders((6..=25).rev()).await?;
    browser.press(RIGHT).await?;
    scene.until_orders((1..=5).rev()).await?;
    browser.press(LEFT).await?;
    scene.until_orders((6..=25).rev()).await?;
    browser.press(LEFT).await?;
    scene.until_orders((26..=45).rev()).await?;
    // In a text field they move the cursor.
    browser.press("/").await?;
    browser.press(RIGHT).await?;
    scene.place_order(99, &Order { customer: "alice", total_cents: 5, item_count: 1, sku: "TEA" }).await?;
    scene.until_orders([99].into_iter().chain((26..=45).rev())).await?;
    scene.is_quiet().await
}
