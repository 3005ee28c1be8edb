//! Ids can be copied, also without permission for the clipboard.

use anyhow::Result;

use crate::scene::{Scene, id};

const COPIES: &str = "window.copied = [];
    navigator.clipboard.writeText = (text) => { window.copied.push(text); return Promise.resolve(); }";
const REFUSES: &str = "navigator.clipboard.writeText = () => Promise.reject(new Error('no permission'));
    document.execCommand = () => false";

#[tokio::test]
async fn the_ids_of_a_list_and_the_tracking_number_are_copied_whole() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.set(44, "version = 3, status = 'shipped', tracking_number = 'JJD 0003-0004'").await?;
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.run(COPIES).await?;
    browser.click("tbody tr:nth-child(2) .copy").await?;
    browser.until("return document.querySelector('tr:nth-child(2) output').textContent === 'Copied'").await?;
    browser.click("tbody tr:nth-child(2) .open").await?;
    browser.until_texts("#shipment-facts dd:last-child bdi", &["JJD 0003-0004"]).await?;
    browser.click("#detail-id .copy").await?;
    browser.click("#shipment .copy").await?;
    let copied = browser.run("return window.copied").await?;
    assert_eq!(copied, serde_json::json!([id(44), id(44), "JJD 0003-0004"]));
    scene.is_quiet().await
}

#[tokio::test]
async fn without_the_clipboard_the_text_is_selected() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.run(REFUSES).await?;
    browser.click("tbody tr:nth-child(3) .copy").await?;
    let says = "return document.querySelector('tbody tr:nth-child(3) output').textContent
        === 'Selected: press Ctrl+C or ⌘C'";
    browser.until(says).await?;
    assert_eq!(browser.selection().await?, id(43));
    assert_eq!(browser.run("return document.getElementById('detail').open").await?, false);
    scene.is_quiet().await
}
