//! The lists over all customers, which are refreshed while they are visible.

use anyhow::Result;

use crate::scene::{Order, Scene, id};

#[tokio::test]
async fn what_is_paid_and_not_yet_shipped_is_one_click_away_and_stays_up_to_date() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.place_order(99, &Order { customer: "bob", total_cents: 5, item_count: 1, sku: "TEA" }).await?;
    scene.open("").await?;
    browser.click("#to-ship").await?;
    scene.until_orders([99].into_iter().chain((1..=15).rev().map(|number| 3 * number))).await?;
    browser.until_texts("caption", &["All customers: paid orders, newest first"]).await?;
    browser.until_texts("#state", &["refreshed every 5 seconds"]).await?;
    browser
        .until("return document.getElementById('last-change').textContent.endsWith(' seconds ago')")
        .await?;
    browser.until_texts("tr:first-child td.customer", &["bob"]).await?;
    assert_eq!(browser.texts("tr.changed").await?, [""; 0]);

    // The focus stays on its order.
    browser.run("document.querySelectorAll('.open')[1].focus()").await?;
    scene.change(99, "shipped").await?;
    scene.change(44, "paid").await?;
    scene.until_orders([45, 44].into_iter().chain((1..=14).rev().map(|number| 3 * number))).await?;
    browser.until_texts("tr.changed .open", &[id(44)]).await?;
    browser.until(&format!("return document.activeElement.textContent === '{}'", id(45))).await?;

    browser.click("#all").await?;
    scene.until_orders([99].into_iter().chain((27..=45).rev())).await?;
    browser.click("td.customer a").await?;
    browser.until_texts("caption", &["bob: orders, newest first"]).await?;
    browser.until_texts("#state", &["live"]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn an_order_over_the_list_of_all_customers_is_live() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("orders&status=paid").await?;
    scene.until_orders((1..=15).rev().map(|number| 3 * number)).await?;
    browser.click(".open").await?;
    browser.until_texts("#detail-id", &[id(45)]).await?;
    browser.until_texts("#detail-status", &["paid"]).await?;
    scene.change(45, "shipped").await?;
    browser.until_texts("#detail-status", &["shipped"]).await?;
    browser.back().await?;
    scene.until_orders((1..=14).rev().map(|number| 3 * number)).await?;
    browser.until("return location.hash === '#orders&status=paid'").await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn a_list_of_all_customers_that_cannot_be_refreshed_says_so_and_recovers() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("orders&status=cancelled").await?;
    browser.until_texts("#none", &["No cancelled orders"]).await?;
    scene.open("orders").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.refuse_connections().await?;
    browser.until_texts("#state", &["trying again…"]).await?;
    browser
        .until_texts("#problem", &["The read model cannot be queried now. Send the same request again."])
        .await?;
    browser
        .until("return document.querySelector('caption').textContent.includes('not live, as of ')")
        .await?;
    browser.screenshot("all-old").await?;
    scene.change(45, "shipped").await?;
    scene.allow_connections().await?;
    browser.until_texts("tr:first-child .status", &["shipped"]).await?;
    browser.until_texts("#state", &["refreshed every 5 seconds"]).await?;
    browser.until_texts("#problem", &[""; 0]).await?;
    browser.until_texts("caption", &["All customers: orders, newest first"]).await
}

#[tokio::test]
async fn a_hidden_tab_does_not_refresh() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    let first = browser.tab().await?;
    scene.open("orders").await?;
    scene.until_orders((26..=45).rev()).await?;
    let note = "const real = window.fetch; window.requests = 0;
        window.fetch = (path, options) => { window.requests += 1; return real(path, options); }";
    browser.run(note).await?;
    browser.new_tab().await?;
    // The other tab refreshes twice: enough time for the hidden one.
    scene.open("orders").await?;
    browser.run(note).await?;
    browser.until("return window.requests >= 2").await?;
    scene.change(45, "shipped").await?;
    browser.show_tab(&first).await?;
    browser.until_texts("tr:first-child .status", &["shipped"]).await?;
    // One that may have begun before, and one because it is shown.
    let requests = browser.run("return window.requests").await?;
    assert!(requests.as_u64().is_some_and(|requests| requests <= 2), "{requests}");
    scene.is_quiet().await
}
