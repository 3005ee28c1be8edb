//! The page says what a token does not allow.

use anyhow::Result;
use serde_json::json;
use testkit::tokens::{AUDIENCE, ISSUER, Role};

use crate::accessibility::{LOOKS, obstacles};
use crate::scene::{Scene, id};
use crate::secured::{FIRST, Secured};

const ALL_OF_ALICE: &str = "This token does not allow the orders of all customers. Needed: orders:read:any. This token \
     has: orders:read, orders:cancel, and only for the customer alice. Show the orders of alice Use another token";

#[tokio::test]
async fn a_customers_token_shows_that_customers_orders_only() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let browser = &secured.scene.browser;
    secured.open("orders").await?;
    secured.enter(&secured.customer("alice")?).await?;
    browser.until_texts("#access", &[ALL_OF_ALICE]).await?;
    assert_eq!(browser.texts("#token, #problem, #loading, tr").await?, [""; 0]);
    secured.sends_no_more_than(2).await?;

    browser.click("#access a").await?;
    browser.until_texts("#state", &["live"]).await?;
    secured.scene.until_orders((26..=45).rev()).await?;
    assert_eq!(browser.texts(".access").await?, [""; 0]);
    secured.scene.change(45, "shipped").await?;
    browser.until_texts("tr.changed .status", &["shipped"]).await?;
    browser.click(".open").await?;
    browser.until_texts("#detail-status", &["shipped"]).await?;
    browser.back().await?;

    browser.run("location.hash = 'customer=bob'").await?;
    let bob = "return document.getElementById('access').innerText.startsWith(\
        'This token does not allow the orders of bob.')";
    browser.until(bob).await?;
    assert_eq!(browser.texts("tr").await?, [""; 0]);
    // An order of bob is none for alice.
    browser.run(&format!("location.hash = 'order={}'", id(99))).await?;
    browser.until_texts("#missing strong", &["There is no order with this id."]).await?;
    browser.run("location.hash = 'customer=bob'").await?;
    browser.until(bob).await?;

    browser.click("#access button").await?;
    secured.enter(&secured.staff()?).await?;
    browser.until_texts("#state", &["live"]).await?;
    secured.scene.until_orders([99]).await?;
    assert_eq!(browser.texts(".access").await?, [""; 0]);
    secured.logs_only(&[401, 403, 404]).await
}

#[tokio::test]
async fn a_token_that_allows_no_reading_says_so_for_an_order_too() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let browser = &secured.scene.browser;
    secured.open(&format!("order={}", id(45))).await?;
    secured.enter(&secured.issuer.token_of(Role::Warehouse)?).await?;
    let text = "This token does not allow this order. Needed: orders:read:any, or orders:read in that customer's own \
        token. This token has: orders:fulfil. Use another token";
    browser.until_texts("#detail-access", &[text]).await?;
    assert_eq!(browser.texts("#detail-problem, #detail-loading").await?, [""; 0]);
    secured.sends_no_more_than(2).await?;
    // Only the server knows in which claim the scopes are.
    let hour = chrono::Utc::now().timestamp() + 3_600;
    let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "app", "exp": hour, "scp": ["orders:fulfil"]});
    browser.click("#detail-access button").await?;
    secured.enter(&secured.issuer.sign(&claims)?).await?;
    browser.until_texts("#detail-access", &[&text.replace("This token has: orders:fulfil. ", "")]).await?;
    browser.click("#detail-access button").await?;
    secured.enter(&secured.staff()?).await?;
    browser.until_texts("#detail-status", &["paid"]).await?;
    assert_eq!(browser.texts(".access").await?, [""; 0]);
    secured.logs_only(&[401, 403]).await
}

#[tokio::test]
async fn a_refusal_without_tokens_is_no_matter_of_a_token() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    // A name that only this browser resolves.
    let elsewhere = scene.url.replace("127.0.0.1", "elsewhere.test");
    assert_ne!(elsewhere, scene.url);
    let says_why =
        |id: &str| format!("return document.getElementById('{id}').innerText.includes('with `AUTH=off`')");
    browser.open(&format!("{elsewhere}/#customer=alice")).await?;
    browser.until(&says_why("problem")).await?;
    browser.open(&format!("{elsewhere}/#order={}", id(45))).await?;
    browser.until(&says_why("detail-problem")).await?;
    assert_eq!(browser.texts(".access, #token").await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn the_dialog_and_the_refusals_are_accessible_in_light_and_dark_and_on_a_phone() -> Result<()> {
    let Some(secured) = Secured::create().await? else { return Ok(()) };
    let browser = &secured.scene.browser;
    let is_clean = async |view: &str, look: &str| -> Result<()> {
        assert_eq!(obstacles(browser).await?, [""; 0], "{look}, {view}");
        browser.until("return document.documentElement.scrollWidth <= innerWidth").await?;
        browser.screenshot(&format!("{view}-{look}")).await
    };
    for (look, scheme, width) in LOOKS {
        browser.set_appearance(width, scheme).await?;
        secured.open("orders").await?;
        secured.until_asked(FIRST).await?;
        is_clean("token", look).await?;
        secured.enter("no token").await?;
        browser.until("return document.getElementById('token-error').checkVisibility()").await?;
        is_clean("token-error", look).await?;
        browser.click("#token-cancel").await?;
        browser.until("return document.getElementById('access').checkVisibility()").await?;
        is_clean("token-needed", look).await?;
        browser.click("#access button").await?;
        secured.enter(&secured.customer("alice")?).await?;
        browser.until_texts("#access", &[ALL_OF_ALICE]).await?;
        is_clean("token-forbidden", look).await?;
        secured.open(&format!("order={}", id(45))).await?;
        secured.enter(&secured.issuer.token_of(Role::Warehouse)?).await?;
        browser.until("return document.getElementById('detail-access').checkVisibility()").await?;
        is_clean("token-forbidden-order", look).await?;
    }
    Ok(())
}
