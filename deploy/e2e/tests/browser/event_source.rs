//! The script in read-api/README.md, for pages that use an `EventSource`.

use anyhow::{Context, Result};

use crate::scene::Scene;

const READ_API: &str = include_str!("../../../../read-api/README.md");

/// Counts how often a stream is opened.
const COUNT: &str = "window.opened = 0; window.taken = [];
    window.EventSource = class extends EventSource { constructor(url) { super(url); window.opened += 1; } };";

#[tokio::test]
async fn the_documented_script_reconnects_after_a_refusal_and_misses_nothing() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let (browser, (_, rest)) = (&scene.browser, READ_API.split_once("```js\n").context("no script")?);
    let (script, _) = rest.split_once("```").context("no end")?;
    scene.open("").await?;
    let follow = "follow('/customers/alice/orders/stream', (name, data) => window.taken.push([name, data]))";
    browser.run(&format!("{COUNT} {script} {follow}")).await?;
    browser.until("return window.taken.some(([name]) => name === 'snapshot')").await?;

    scene.refuse_connections().await?;
    // The browser does not reconnect by itself: a refused stream stays closed.
    browser.until("return window.opened > 1").await?;
    scene.change(40, "delivered").await?;
    scene.allow_connections().await?;
    browser
        .until(
            "return window.taken.some(([name, order]) => name === 'order' && order.status === 'delivered')",
        )
        .await?;
    assert_eq!(
        browser.run("return window.taken.filter(([name]) => name === 'snapshot').length").await?,
        1,
        "it went on from its last id"
    );
    Ok(())
}
