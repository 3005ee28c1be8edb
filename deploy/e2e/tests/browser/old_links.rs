//! Bookmarks and links from e-mails.

use anyhow::Result;

use crate::scene::Scene;

const NOTICE: &str = "This link to an older page is no longer valid. These are the newest orders.";

#[tokio::test]
async fn an_old_link_to_an_older_page_shows_the_newest_orders_and_says_so() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    // A cursor signed with an old key, and one that a mail program has cut.
    let made_with_another_key = "AQAGYPyr4bVuLntb3AmzUDaroW9rbeqpXVwmE8gbswX0SKNr4dsic6c";
    for cursor in [made_with_another_key, "AQAGYPyr4b", "%00"] {
        scene.open(&format!("customer=alice&cursor={cursor}")).await?;
        scene.until_orders((26..=45).rev()).await?;
        browser.until_texts("#notice", &[NOTICE]).await?;
        browser.until_texts("#problem", &[""; 0]).await?;
        browser.until_texts("#state", &["live"]).await?;
        browser.until("return location.hash === '#customer=alice'").await?;
    }
    // The filter stays; the notice disappears with the next action.
    scene.open(&format!("customer=alice&status=paid&cursor={made_with_another_key}")).await?;
    scene.until_orders((1..=15).rev().map(|number| 3 * number)).await?;
    browser.until_texts("#notice", &[NOTICE]).await?;
    browser.click("#statuses label:has([value=paid])").await?;
    scene.until_orders((26..=45).rev()).await?;
    browser.until_texts("#notice", &[""; 0]).await
}

#[tokio::test]
async fn a_page_whose_cursor_becomes_invalid_is_replaced_by_the_first() -> Result<()> {
    let Some(mut scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.click("#older").await?;
    scene.until_orders((6..=25).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    // The key changes, and the page must load again.
    scene.stop()?;
    scene.browser.until_texts("#state", &["reconnecting…"]).await?;
    scene
        .browser
        .run(
            "window.fetch = (real => (path, options) =>
        real(path.replace('last_event_id=', 'last_event_id=x'), options))(window.fetch)",
        )
        .await?;
    scene.start_again(&[("CURSOR_KEY", "another key, of more than thirty-two characters")]).await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#notice", &[NOTICE]).await?;
    scene.browser.until_texts("#state", &["live"]).await
}
