//! The page of the API document, `/docs/`, under its content security policy.

use anyhow::Result;

use crate::scene::Scene;

/// Clicks on the first element of this selector, if there is one.
fn click(selector: &str) -> String {
    format!(
        "const found = document.querySelector('{selector}');
        if (!found) return false;
        found.click();
        return true"
    )
}

/// A script in the page itself, as one that somebody has injected.
const INLINE: &str = "const script = document.createElement('script');
    script.textContent = 'window.hasRun = true';
    document.body.append(script);
    return window.hasRun === undefined";

#[tokio::test]
async fn an_operation_can_be_read_and_tried_under_the_policy() -> Result<()> {
    let Some(scene) = Scene::create_with(&[("API_DOCS", "on")]).await? else { return Ok(()) };
    let browser = &scene.browser;
    browser.open(&format!("{}/docs", scene.url)).await?;
    browser.until("return document.querySelectorAll('.opblock').length >= 4").await?;
    browser.until(&click("#operations-orders-list_orders .opblock-summary-control")).await?;
    browser.until(&click("#operations-orders-list_orders .try-out__btn")).await?;
    browser
        .until("return document.querySelector('#operations-orders-list_orders .btn.execute') !== null")
        .await?;
    browser.until("return fetch('/orders').then((response) => response.ok)").await?;
    // A violation of the policy would be a line.
    scene.is_quiet().await?;
    browser.until(INLINE).await?;
    let lines = browser.console().await?;
    assert!(lines.iter().any(|line| line.contains("Content Security Policy")), "{lines:#?}");
    Ok(())
}
