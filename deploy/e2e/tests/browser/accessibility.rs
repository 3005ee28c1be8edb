//! Accessibility: in light and dark mode, on a desktop and on a phone.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::scene::{Scene, target};

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
    let found = browser.run("return axe.run()").await?;
    let passes = found.get("passes").and_then(Value::as_array).map_or(0, Vec::len);
    anyhow::ensure!(passes > 10, "axe has looked at nothing");
    Ok(found
        .get("violations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(Value::to_string)
        .collect())
}

#[tokio::test]
async fn the_page_is_accessible_in_light_and_dark_and_on_a_phone() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    for (name, scheme, width) in [("light", "light", 1100), ("dark", "dark", 1100), ("phone", "light", 390)] {
        browser.set_appearance(width, scheme).await?;
        scene.open("").await?;
        browser.until_texts("#state", &["not watching"]).await?;
        assert_eq!(obstacles(browser).await?, [""; 0], "{name}, before the search");

        scene.open("customer=alice").await?;
        scene.until_orders((26..=45).rev()).await?;
        browser.until_texts("#state", &["live"]).await?;
        assert_eq!(obstacles(browser).await?, [""; 0], "{name}");
        browser.until("return document.documentElement.scrollWidth <= innerWidth").await?;
        browser.screenshot(name).await?;

        browser.click("tbody tr:nth-child(2) .open").await?;
        browser.until("return document.getElementById('detail').open").await?;
        assert_eq!(obstacles(browser).await?, [""; 0], "{name}, one order");
        browser.screenshot(&format!("{name}-order")).await?;
    }
    scene.is_quiet().await
}
