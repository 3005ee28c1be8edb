//! Live updates, and the display of the connection's state.

use anyhow::Result;

use crate::scene::{Scene, id};

#[tokio::test]
async fn changes_are_shown_and_highlighted() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    assert_eq!(scene.browser.texts("#last-change").await?, [""], "nothing has changed yet");
    assert_eq!(scene.browser.texts("tr.changed").await?, [""; 0]);
    scene.change(30, "delivered").await?;
    scene.browser.until_texts("tr.changed .status", &["delivered"]).await?;
    scene
        .browser
        .until("return document.getElementById('last-change').textContent.startsWith('last change ')")
        .await?;
    scene.place(46).await?;
    scene.until_orders((26..=46).rev()).await?;
    // An older order that is not on this page is not added.
    scene.change(3, "shipped").await?;
    scene.change(29, "shipped").await?;
    scene.browser.until_texts("tr:has(.status[data-status=shipped]) .open", &[id(29)]).await?;
    scene.until_orders((26..=46).rev()).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn an_older_page_updates_its_orders_and_adds_none() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.click("#older").await?;
    scene.until_orders((6..=25).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.place(46).await?;
    scene.change(10, "cancelled").await?;
    scene.browser.until_texts("tr:has(.status[data-status=cancelled]) .open", &[id(10)]).await?;
    scene.until_orders((6..=25).rev()).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn a_restart_of_the_server_is_shown_and_no_change_is_missed() -> Result<()> {
    let Some(mut scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.is_quiet().await?;

    scene.stop()?;
    scene.browser.until_texts("#state", &["reconnecting…"]).await?;
    scene.change(40, "delivered").await?;
    scene.place(46).await?;
    scene.start_again(&[]).await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.until_orders((26..=46).rev()).await?;
    scene.browser.until_texts("tr:has(.status[data-status=delivered]) .open", &[id(40)]).await?;
    // Only the browser itself logs errors about the stopped server.
    let complaints = scene.browser.console().await?;
    let is_expected = |line: &String| line.contains("/orders/stream") && line.contains("net::ERR_");
    assert!(complaints.iter().all(is_expected), "{complaints:?}");
    Ok(())
}

#[tokio::test]
async fn an_unavailable_read_model_is_shown_until_it_is_available_again() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await?;

    scene.refuse_connections().await?;
    scene.browser.until_texts("#state", &["reconnecting…"]).await?;
    let problem = "The read model cannot be queried now. Send the same request again.";
    scene.browser.until_texts("#problem", &[problem]).await?;
    scene.change(40, "delivered").await?;
    scene.allow_connections().await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.browser.until_texts("#problem", &[""; 0]).await?;
    scene.browser.until_texts("tr:has(.status[data-status=delivered]) .open", &[id(40)]).await?;
    Ok(())
}

#[tokio::test]
async fn a_list_that_does_not_load_is_not_shown_as_live() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("").await?;
    // The stream works; the list does not, until its first attempt times out.
    let hold_back = "const real = window.fetch; let held = 0;
        window.fetch = (path, options) => path.includes('/orders?') && held++ === 0
            ? new Promise((_, refuse) => options.signal.addEventListener('abort', () => refuse(options.signal.reason)))
            : real(path, options);
        window.heldBack = () => held;";
    scene.browser.run(hold_back).await?;
    scene.browser.run("location.hash = 'customer=alice'").await?;
    scene.browser.until("return window.heldBack() === 1").await?;
    scene.browser.until_texts("#state", &["connecting…"]).await?;
    scene.browser.until_texts("#state", &["reconnecting…"]).await?;
    scene.until_orders((26..=45).rev()).await?;
    scene.browser.until_texts("#state", &["live"]).await
}
