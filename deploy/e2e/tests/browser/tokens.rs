//! The page asks for an access token, and keeps it in its memory only.

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use testkit::tokens::{Role, TokenIssuer};

use crate::scene::Scene;
use crate::secured::{FIRST, REFUSED, Secured};

const EXPIRED: &str = "The token has expired. Enter a new one.";

/// All places where a page can leave something, and its address.
const LEFT: &str =
    "return Promise.all([indexedDB.databases(), caches.keys()]).then((lists) => JSON.stringify([
    ...lists, Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, history.state,
    location.href, document.getElementById('token-text').value, window.name]))";

#[tokio::test]
async fn without_authentication_no_token_is_asked_for() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    scene.open("customer=alice").await?;
    scene.browser.until_texts("#state", &["live"]).await?;
    scene.browser.until("return !document.getElementById('token').open").await?;
    assert_eq!(scene.browser.texts("#token, #sign-out, .access").await?, [""; 0]);
    scene.is_quiet().await
}

#[tokio::test]
async fn a_token_in_the_search_field_does_not_get_into_the_address() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    let keys = tempfile::tempdir()?;
    let token = TokenIssuer::new(keys.path())?.token_of(Role::Dashboard)?;
    scene.open("").await?;
    browser.until_texts("#state", &["not watching"]).await?;
    let why = "return document.getElementById('search-text').validationMessage.includes('an access token')";
    for text in [token.clone(), format!("Bearer {token}")] {
        browser.fill("#search-text", &text).await?;
        browser.press("\u{E007}").await?;
        browser.until(why).await?;
        browser.until("return !location.href.includes('eyJ')").await?;
    }
    browser.fill("#search-text", "alice").await?;
    browser.press("\u{E007}").await?;
    browser.until_texts("#state", &["live"]).await?;
    browser.until("return !performance.getEntries().some(({ name }) => name.includes('eyJ'))").await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn without_a_token_the_page_asks_for_one_and_sends_nothing_meanwhile() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let browser = &secured.scene.browser;
    secured.open("").await?;
    browser.until_texts("#state", &["not watching"]).await?;
    assert_eq!(browser.texts("#token").await?, [""; 0], "nothing has been refused yet");

    secured.open("orders").await?;
    secured.until_asked(FIRST).await?;
    secured.sends_no_more_than(1).await?;
    // Without a token, whatever the user opens is not requested.
    browser.press("\u{E00C}").await?;
    browser.until_texts("#access", &["An access token is needed. Enter a token"]).await?;
    browser.run("location.hash = 'customer=alice'").await?;
    secured.until_asked(FIRST).await?;
    browser.click("#token-cancel").await?;
    browser.until_texts("caption, tr", &[""; 0]).await?;
    browser.run(&format!("location.hash = 'order={}'", crate::scene::id(45))).await?;
    secured.until_asked(FIRST).await?;
    browser.click("#token-cancel").await?;
    browser.click("#detail-access button").await?;
    assert_eq!(secured.recorder.api().len(), 1);

    secured.enter(&secured.staff()?).await?;
    browser.until_texts("#detail-status", &["paid"]).await?;
    browser.until_texts(".access", &[""; 0]).await?;
    secured.logs_only(&[401]).await
}

#[tokio::test]
async fn a_wrong_token_is_sent_once_and_another_is_asked_for() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let browser = &secured.scene.browser;
    secured.open("orders").await?;
    for text in ["", " Bearer ", "token, wrong", "tökén"] {
        secured.enter(text).await?;
        let message = "This is not a token. Paste the whole token, such as eyJhbGciOi…";
        browser.until_texts("#token-error", &[message]).await?;
    }
    let other_keys = tempfile::tempdir()?;
    let forged = TokenIssuer::new(other_keys.path())?.token_of(Role::Dashboard)?;
    secured.enter(&forged).await?;
    secured.until_asked(REFUSED).await?;
    assert_eq!(browser.texts("#token-error").await?, [""; 0]);
    secured.sends_no_more_than(2).await?;

    let token = secured.staff()?;
    secured.enter(&format!("  authorization: bearer  {token}  ")).await?;
    browser.until_texts("#state", &["refreshed every 5 seconds"]).await?;
    secured.scene.until_orders([99].into_iter().chain((27..=45).rev())).await?;
    let heads = secured.recorder.api();
    let sent: Vec<_> =
        heads.iter().map(|head| head.contains(&format!("Authorization: Bearer {token}"))).collect();
    assert_eq!(sent.get(..3), Some(&[false, false, true][..]), "{heads:#?}");
    secured.logs_only(&[401]).await
}

#[tokio::test]
async fn staff_see_everything_live_and_the_token_is_nowhere_but_in_memory() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let (browser, token) = (&secured.scene.browser, secured.staff()?);
    secured.open("customer=alice").await?;
    secured.enter(&token).await?;
    browser.until_texts("#state", &["live"]).await?;
    secured.scene.until_orders((26..=45).rev()).await?;
    secured.scene.change(30, "delivered").await?;
    browser.until_texts("tr.changed .status", &["delivered"]).await?;
    browser.run("location.hash = 'customer=bob'").await?;
    secured.scene.until_orders([99]).await?;
    browser.click(".open").await?;
    browser.until_texts("#detail-status", &["paid"]).await?;

    let signature = token.rsplit('.').next().unwrap_or_default();
    let left = browser.run(LEFT).await?.to_string();
    assert!(left.contains("order=") && !left.contains(signature), "{left}");
    let urls = secured.recorder.heads().into_iter().filter_map(|head| Some(head.lines().next()?.to_owned()));
    assert_eq!(urls.filter(|url| url.contains(signature)).count(), 0);

    // A new document does not know it.
    browser.run("location.reload()").await?;
    secured.until_asked(FIRST).await?;
    secured.logs_only(&[401]).await
}

#[tokio::test]
async fn who_signs_out_leaves_neither_the_token_nor_orders() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let browser = &secured.scene.browser;
    secured.open("customer=alice").await?;
    secured.enter(&secured.staff()?).await?;
    browser.until_texts("#state", &["live"]).await?;
    browser.click("#sign-out").await?;
    browser.until_texts("#notice", &["You are signed out. The access token is forgotten."]).await?;
    browser.until("return !document.body.innerHTML.includes('alice') && location.hash === ''").await?;
    assert_eq!(browser.texts("#sign-out").await?, [""; 0]);
    browser.run("location.hash = 'customer=alice'").await?;
    secured.until_asked(FIRST).await?;
    assert_eq!(browser.texts("tr").await?, [""; 0]);
    secured.logs_only(&[401]).await
}

#[tokio::test]
async fn a_token_that_expires_while_watching_is_asked_for_again_and_no_change_is_missed() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let browser = &secured.scene.browser;
    secured.open("customer=alice").await?;
    let token = secured.issuer.token_of_until(Role::Dashboard, Utc::now() + TimeDelta::seconds(8))?;
    secured.enter(&token).await?;
    browser.until_texts("#state", &["live"]).await?;
    secured.scene.until_orders((26..=45).rev()).await?;
    secured.until_asked(EXPIRED).await?;
    browser.until_texts("#state", &["not watching"]).await?;
    browser
        .until("return document.querySelector('caption').textContent.includes('not live, as of ')")
        .await?;
    secured.scene.until_orders((26..=45).rev()).await?;
    let requests = secured.recorder.api().len();
    secured.sends_no_more_than(requests).await?;

    secured.scene.change(40, "delivered").await?;
    secured.enter(&secured.staff()?).await?;
    browser.until_texts("#state", &["live"]).await?;
    browser.until_texts("tr:has(.status[data-status=delivered]) .open", &[crate::scene::id(40)]).await?;
    secured.logs_only(&[401]).await
}

#[tokio::test]
async fn a_late_refusal_of_an_older_token_does_not_remove_the_new_one() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let browser = &secured.scene.browser;
    secured.open("").await?;
    // The refusal of the first order is held back, though its request is aborted.
    let hold_back = "const real = window.fetch; let release;
        window.fetch = (path, options) => path.includes('/orders/') && !release
            ? new Promise((done) => (release = () => done(real(path, { headers: options.headers }))))
            : real(path, options);
        window.release = () => release(); window.isHeld = () => Boolean(release);";
    browser.run(hold_back).await?;
    browser.run(&format!("location.hash = 'order={}'", crate::scene::id(45))).await?;
    browser.until("return window.isHeld()").await?;
    browser.run("location.hash = 'customer=alice'").await?;
    secured.enter(&secured.staff()?).await?;
    browser.until_texts("#state", &["live"]).await?;
    let refused = "window.isOver = false; window.release();
        const observer = new PerformanceObserver((list) => {
            window.isOver ||= list.getEntries().some((entry) => entry.responseStatus === 401);
        });
        observer.observe({ type: 'resource' });";
    browser.run(refused).await?;
    browser.until("return window.isOver").await?;
    browser.run("location.hash = 'customer=bob'").await?;
    secured.scene.until_orders([99]).await?;
    browser.until_texts("#state", &["live"]).await?;
    assert_eq!(browser.texts("#token, .access").await?, [""; 0]);
    secured.logs_only(&[401]).await
}
