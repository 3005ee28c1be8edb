//! What the view of one order shows.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;

use crate::scene::{Order, Scene, id};

const TWO_LINES: &str = r#"currency = 'EUR', item_count = 2, last_item_sku = 'POT-IRON', total_cents = 125956,
    items = '[{"sku":"TEA-EARL-GREY","quantity":2,"price_cents":1250},
              {"sku":"POT-IRON","quantity":1,"price_cents":123456}]'"#;

#[tokio::test]
async fn an_order_shows_all_that_is_known_of_it_and_follows_its_changes() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.set(44, TWO_LINES).await?;
    scene.open(&format!("order={}", id(44))).await?;
    browser.until_texts("#detail-id", &[id(44)]).await?;
    browser.until_texts("#detail-status", &["placed"]).await?;
    let lines = ["TEA-EARL-GREY", "2", "€12.50", "€25.00", "POT-IRON", "1", "€1,234.56", "€1,234.56"];
    browser.until_texts("#line-rows td", &lines).await?;
    browser.until_texts("#detail-total", &["€1,259.56"]).await?;
    browser.until_texts("#steps b", &["Placed", "Paid", "Shipped", "Delivered"]).await?;
    browser.until_texts("#steps .quiet", &["not yet"; 3]).await?;
    browser.until_texts("#steps [aria-current] b", &["Placed"]).await?;
    browser.until_texts("#shipment, #reason-of-cancel", &[""; 0]).await?;
    browser.until_texts("#detail-customer a", &["alice"]).await?;

    browser.until_texts("#state", &["live"]).await?;
    scene
        .set(
            44,
            "version = 3, status = 'shipped', carrier = 'DHL', tracking_number = 'JJD00030004',
                paid_at = '2026-11-23 12:00Z', shipped_at = '2026-11-24 13:30Z'",
        )
        .await?;
    browser.until_texts("#detail-status", &["shipped"]).await?;
    browser.until_texts("#steps [aria-current] b", &["Shipped"]).await?;
    browser.until_texts("#shipment-facts dd", &["DHL", "JJD00030004"]).await?;
    let times = "return [...document.querySelectorAll('#steps time')].map((time) => time.dateTime).join()
        === '2026-11-23T10:44:00.123456Z,2026-11-23T12:00:00Z,2026-11-24T13:30:00Z'";
    browser.until(times).await?;
    browser.until_texts("#steps .quiet", &["not yet"]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn nothing_moves_while_an_order_is_loaded() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.set(44, TWO_LINES).await?;
    scene
        .set(44, "version = 3, status = 'shipped', paid_at = '2026-11-23 12:00Z', shipped_at = now()")
        .await?;
    scene.open("customer=alice").await?;
    browser.until_texts("#state", &["live"]).await?;
    let hold = "const real = window.fetch;
        window.fetch = (path, options) => path.startsWith('/orders/')
            ? new Promise((done) => { window.release = () => done(real(path, options)); })
            : real(path, options)";
    browser.run(hold).await?;
    browser.click("tbody tr:nth-child(2) .open").await?;
    browser.until("return 'release' in window").await?;
    // The summary is shown at once.
    browser.until_texts("#detail-status", &["shipped"]).await?;
    browser.until_texts("#detail-total", &["€1,259.56"]).await?;
    let places = "return ['#detail-title', '#detail-total', '#shipment', '#steps li:last-child', '#facts', '#detail-id']
        .map((selector) => document.querySelector(selector).getBoundingClientRect())
        .map(({ left, top, width }) => [left, top, width].map(Math.round))";
    let before = browser.run(places).await?;
    browser.run("window.release()").await?;
    browser.until_texts("#line-rows .line-sku", &["TEA-EARL-GREY", "POT-IRON"]).await?;
    assert_eq!(browser.run(places).await?, before);
    scene.is_quiet().await
}

#[tokio::test]
async fn a_cancelled_order_shows_the_reason_and_no_steps_to_come() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    let cancelled = "status = 'cancelled', cancelled_at = '2026-11-24 13:30Z', cancel_reason = 'Wrong size.'";
    scene.set(44, &format!("version = 2, {cancelled}")).await?;
    scene.set(43, &format!("version = 3, {cancelled}")).await?;
    scene.open(&format!("order={}", id(44))).await?;
    browser.until_texts("#steps b", &["Placed", "Cancelled"]).await?;
    browser.until_texts("#reason", &["Wrong size."]).await?;
    // It had been paid, at a time that an old writer did not keep.
    scene.open(&format!("order={}", id(43))).await?;
    browser.until_texts("#steps b", &["Placed", "Paid", "Cancelled"]).await?;
    browser.until_texts("#steps .quiet", &["time not known"]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn an_order_from_before_the_details_says_what_is_not_known_until_it_is() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.change(44, "paid").await?;
    scene.change(44, "shipped").await?;
    scene.open(&format!("order={}", id(44))).await?;
    browser.until_texts("#no-lines-sku", &["3 items; the last one is CUP-PORCELAIN-BLUE-200ML."]).await?;
    browser.until_texts("#lines", &[""; 0]).await?;
    browser.until_texts("#detail-total", &["63.99"]).await?;
    browser.until_texts("#steps .quiet", &["time not known", "time not known", "not yet"]).await?;
    browser.until_texts("#shipment-facts dd", &["not known"; 2]).await?;
    // The facts come without a new version.
    browser.until_texts("#state", &["live"]).await?;
    scene.set(44, &format!("{TWO_LINES}, paid_at = '2026-11-23 12:00Z'")).await?;
    browser.until_texts("#no-lines-sku", &[""; 0]).await?;
    browser.until_texts("#detail-total", &["€1,259.56"]).await?;
    browser.until_texts("#steps .quiet", &["time not known", "not yet"]).await?;
    // The list below has the currency, too.
    browser.click("#close").await?;
    browser.until_texts("tbody tr:nth-child(2) .total", &["€1,259.56"]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn amounts_have_the_decimal_places_of_their_currency_and_are_exact() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let amounts = [
        (Some("EUR"), 9_007_199_254_740_991, "€90,071,992,547,409.91"),
        (Some("JPY"), 9_007_199_254_740_991, "¥9,007,199,254,740,991"),
        (Some("KWD"), 9_007_199_254_740_991, "KWD 9,007,199,254,740.991"),
        (Some("IQD"), 1, "IQD 0.001"),
        (Some("CLF"), 12_345, "CLF 1.2345"),
        (Some("HUF"), 12_345, "HUF 123.45"),
        (Some("JPY"), 0, "¥0"),
        (None, 12_345, "123.45"),
    ];
    for (number, (currency, total_cents, _)) in (1..).zip(amounts) {
        let order = Order { customer: "carol", total_cents, item_count: 1, sku: "TEA" };
        scene.place_order(100 - number, &order).await?;
        if let Some(currency) = currency {
            scene.set(100 - number, &format!("currency = '{currency}'")).await?;
        }
    }
    scene.open("customer=carol").await?;
    scene.browser.until_texts("tbody .total", &amounts.map(|(_, _, text)| text)).await?;
    // A line's total is exact, too.
    let line = r#"'[{"sku":"TEA","quantity":3,"price_cents":3002399751580330}]'"#;
    scene.set(99, &format!("items = {line}, total_cents = 9007199254740990")).await?;
    scene.open(&format!("order={}", id(99))).await?;
    scene.browser.until_texts("#line-rows .line-total", &["€90,071,992,547,409.90"]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn every_currency_of_iso_4217_has_its_decimal_places() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let letters = || b'A'..=b'Z';
    let codes = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
    let places = codes.filter_map(|code| {
        let code = str::from_utf8(&code).ok()?;
        // Without a minor unit, such as gold: as without a currency.
        let places = iso_currency::Currency::from_code(code)?.exponent().unwrap_or(2);
        Some((code.to_owned(), u64::from(places)))
    });
    let places: BTreeMap<_, _> = places.collect();
    assert!(places.len() > 150, "{places:?}");
    scene.open("").await?;
    let shown = format!(
        "const places = (code, money) => money(1, code).match(/0\\.(0*1)$/)?.[1].length ?? 0;
        return import('/money.js').then(({{ money }}) =>
            Object.fromEntries(Object.keys({}).map((code) => [code, places(code, money)])))",
        json!(places)
    );
    assert_eq!(scene.browser.run(&shown).await?, json!(places));
    scene.is_quiet().await
}

#[tokio::test]
async fn times_are_absolute_with_their_zone_and_relative_and_stay_up_to_date() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.set(45, "placed_at = now() - interval '90 minutes'").await?;
    scene.open("customer=alice").await?;
    browser.until_texts("tr:first-child time .ago", &["1 hour ago"]).await?;
    let absolute = browser.texts("tr:first-child time").await?;
    assert!(matches!(absolute.as_slice(), [text] if text.ends_with(" UTC 1 hour ago")), "{absolute:?}");
    let title = browser.run("return document.querySelector('tbody time').title").await?;
    let title = title.as_str().unwrap_or_default();
    assert!(title.ends_with("Coordinated Universal Time"), "{title:?}");
    browser.run("const now = Date.now; Date.now = () => now() + 3_600_000").await?;
    browser.until_texts("tr:first-child time .ago", &["2 hours ago"]).await?;
    scene.is_quiet().await
}
