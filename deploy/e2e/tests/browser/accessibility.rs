//! Accessibility: in light and dark mode, on a desktop and on a phone.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::scene::{Scene, id, target};

/// The script of axe-core, fetched once per build directory.
fn axe() -> Result<String> {
    let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/requirements.txt");
    let directory = target()?.join("axe");
    let script = directory.join("axe_playwright_python/axe.min.js");
    if !script.is_file() {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--require-hashes",
            "--upgrade",
        ]);
        pip.arg("--target").arg(&directory).args(["--requirement", requirements]);
        let output = pip.output().context("python3, to fetch axe")?;
        anyhow::ensure!(output.status.success(), "pip: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(std::fs::read_to_string(script)?)
}

/// The accessibility violations of the current page, by WCAG 2.2 (A and AA) and axe's own rules.
pub(crate) async fn obstacles(browser: &Browser) -> Result<Vec<String>> {
    // Through the browser's protocol, because the page's policy refuses external scripts.
    browser.devtools("Runtime.evaluate", json!({"expression": axe()?})).await?;
    // Only violations with each of their elements: what passes has thousands.
    let run = "return axe.run({ resultTypes: ['violations'] })
        .then(({ passes, violations }) => ({ passes: passes.length, violations }))";
    let found = browser.run(run).await?;
    let passes = found.get("passes").and_then(Value::as_u64).unwrap_or(0);
    anyhow::ensure!(passes > 10, "axe has looked at nothing");
    Ok(found
        .get("violations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(Value::to_string)
        .collect())
}

/// An order of which everything is known.
const FACTS: &str = r#"currency = 'EUR', item_count = 3, last_item_sku = 'CUP-PORCELAIN-BLUE-200ML',
    total_cents = 14700,
    items = '[{"sku":"TEA-EARL-GREY","quantity":2,"price_cents":1250},
              {"sku":"POT-IRON","quantity":1,"price_cents":8900},
              {"sku":"CUP-PORCELAIN-BLUE-200ML","quantity":6,"price_cents":550}]',
    paid_at = '2026-11-23 12:00Z'"#;
const DELIVERED: &str = "version = 4, status = 'delivered', carrier = 'DHL Express',
    tracking_number = 'JJD000300045987', shipped_at = '2026-11-24 13:30Z', delivered_at = '2026-11-25 08:15Z'";
const CANCELLED: &str = "version = 3, status = 'cancelled', cancelled_at = '2026-11-24 13:30Z',
    cancel_reason = 'The customer chose the wrong size.'";

/// Each look: its name, colour scheme and width.
pub(crate) const LOOKS: [(&str, &str, u16); 4] =
    [("light", "light", 1100), ("dark", "dark", 1100), ("phone", "light", 390), ("phone-dark", "dark", 390)];

/// Each view: its name, its fragment, and an element of it.
fn views() -> [(&'static str, String, &'static str); 8] {
    let order = |number| format!("order={}", id(number));
    [
        ("customer", "customer=alice".to_owned(), "#list"),
        ("days", "customer=alice&status=paid&from=2026-11-20&to=2026-11-30".to_owned(), "#list"),
        ("empty", "customer=alice&status=delivered&to=2026-11-01".to_owned(), "#empty"),
        ("to-ship", "orders&status=paid".to_owned(), "#list"),
        ("order", order(45), "#lines"),
        ("order-cancelled", order(44), "#reason"),
        ("order-old", order(42), "#no-lines"),
        ("order-missing", order(99), "#missing"),
    ]
}

#[tokio::test]
async fn every_view_is_accessible_in_light_and_dark_and_on_a_phone() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    for number in [45, 44, 43] {
        scene.set(number, FACTS).await?;
    }
    scene.set(45, DELIVERED).await?;
    scene.set(44, CANCELLED).await?;
    for (look, scheme, width) in LOOKS {
        browser.set_appearance(width, scheme).await?;
        scene.open("").await?;
        browser.until_texts("#state", &["not watching"]).await?;
        assert_eq!(obstacles(browser).await?, [""; 0], "{look}, before the search");
        for (view, fragment, element) in views() {
            browser.open("about:blank").await?;
            scene.open(&fragment).await?;
            browser.until(&format!("return document.querySelector('{element}').checkVisibility()")).await?;
            if view != "order-missing" {
                let is_loaded = "return /live|refreshed/.test(document.getElementById('state').textContent)";
                browser.until(is_loaded).await?;
            }
            assert_eq!(obstacles(browser).await?, [""; 0], "{look}, {view}");
            browser.until("return document.documentElement.scrollWidth <= innerWidth").await?;
            let fits = "const { scrollWidth, clientWidth } = document.getElementById('detail');
                return scrollWidth <= clientWidth";
            browser.until(fits).await?;
            browser.screenshot(&format!("{view}-{look}")).await?;
        }
    }
    Ok(())
}
