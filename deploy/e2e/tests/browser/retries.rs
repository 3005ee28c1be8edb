//! The page repeats requests after temporary errors only.

use anyhow::Result;

use crate::scene::Scene;

const TOO_MANY: &str =
    "Too many requests at once. The page tries again by itself. Closing other pages of orders helps.";

/// Responds to the stream's first `times` requests with this status, and counts all.
fn refuse(status: u16, times: u32) -> String {
    format!(
        "const real = window.fetch; window.streams = 0;
        window.fetch = (path, options) => {{
            if (!path.includes('/stream') || window.streams++ >= {times}) return real(path, options);
            const problem = {{ title: 'Refused', status: {status}, detail: 'Refused with {status}.' }};
            return Promise.resolve(new Response(JSON.stringify(problem), {{ status: {status} }}));
        }};"
    )
}

#[tokio::test]
async fn a_timeout_and_too_many_requests_are_retried_and_a_bad_request_is_not() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    for status in [408, 429] {
        // A new document has a new `fetch`.
        scene.browser.open("about:blank").await?;
        scene.open("").await?;
        scene.browser.run(&refuse(status, 1)).await?;
        scene.browser.run("location.hash = 'customer=alice'").await?;
        scene.browser.until_texts("#state", &["live"]).await?;
        scene.until_orders((26..=45).rev()).await?;
        scene.browser.until("return window.streams === 2").await?;
        scene.browser.until_texts("#problem", &[""; 0]).await?;
    }
    scene.browser.open("about:blank").await?;
    scene.open("").await?;
    scene.browser.run(&refuse(400, 1)).await?;
    scene.browser.run("location.hash = 'customer=alice'").await?;
    scene.browser.until_texts("#state", &["not watching"]).await?;
    scene.browser.until_texts("#problem", &["Refused with 400."]).await?;
    scene.browser.until("return window.streams === 1").await
}

#[tokio::test]
async fn while_too_many_requests_are_refused_the_page_says_so_in_its_own_words() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("").await?;
    scene.browser.run(&refuse(429, 1_000_000)).await?;
    scene.browser.run("location.hash = 'customer=alice'").await?;
    scene.browser.until_texts("#problem", &[TOO_MANY]).await?;
    scene.browser.until("return window.streams >= 2").await?;
    scene.browser.until_texts("#state", &["reconnecting…"]).await
}
