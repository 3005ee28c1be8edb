//! Long texts, large amounts and right-to-left ids are readable, also on narrow screens.

use anyhow::Result;

use crate::scene::{Order, Scene};

/// The largest integer that every JSON client reads exactly.
const MAX_CENTS: i64 = 9_007_199_254_740_991;

/// The words that break across lines. SKUs may be longer than a line.
const BROKEN_WORDS: &str = "
    const broken = [];
    const texts = document.createTreeWalker(document.querySelector('tbody'), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        if (!text.parentElement.checkVisibility() || text.parentElement.closest('.sku')) continue;
        for (const { 0: word, index } of text.data.matchAll(/\\S+/g)) {
            const range = new Range();
            range.setStart(text, index);
            range.setEnd(text, index + word.length);
            if (new Set([...range.getClientRects()].map((part) => part.top)).size > 1) broken.push(word);
        }
    }
    return broken";

/// The texts that exceed the screen or are clipped.
const CUT_TEXTS: &str = "
    const cut = [];
    const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        const parent = text.parentElement;
        if (!text.data.trim() || !parent.checkVisibility() || parent.closest('thead, legend')) continue;
        const range = new Range();
        range.selectNodeContents(text);
        for (const { left, right, top, bottom } of range.getClientRects()) {
            if (bottom > innerHeight || top < 0) continue;
            const [l, r, t, b] = [left + 1, right - 1, top + 2, bottom - 2];
            const corners = [[l, t], [r, t], [l, b], [r, b]];
            const isSeen = ([x, y]) => parent.closest('td, caption, p, div, label, a')
                ?.contains(document.elementFromPoint(x, y));
            if (left < 0 || right > innerWidth || !corners.every(isSeen)) cut.push(text.data);
        }
    }
    return cut";

#[tokio::test]
async fn nothing_is_cut_off_and_no_word_is_broken_on_a_desk_or_a_phone() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    let sku = "S".repeat(64);
    let large = Order { customer: "alice", total_cents: MAX_CENTS, item_count: i32::MAX, sku: &sku };
    scene.place_order(46, &large).await?;
    scene.place_order(47, &Order { item_count: 500, sku: "TEA", ..large }).await?;
    scene.change(47, "cancelled").await?;
    scene.change(45, "delivered").await?;
    for (width, name) in [(1100, "wide"), (780, "tablet"), (390, "narrow"), (320, "narrowest")] {
        browser.set_appearance(width, "light").await?;
        for (fragment, state) in [("orders", "refreshed every 5 seconds"), ("customer=alice", "live")] {
            scene.open(fragment).await?;
            browser.until_texts("tbody tr:nth-child(-n+2) .total", &["90,071,992,547,409.91"; 2]).await?;
            browser.until_texts("#state", &[state]).await?;
            let name = format!("{name}-{}", fragment.replace('=', "-"));
            browser.screenshot(&name).await?;
            let scrolls = "return document.documentElement.scrollWidth > innerWidth";
            assert_eq!(browser.run(scrolls).await?, false, "{name}");
            assert_eq!(browser.run(BROKEN_WORDS).await?, serde_json::json!([]), "{name}");
            assert_eq!(browser.run(CUT_TEXTS).await?, serde_json::json!([]), "{name}");
        }
        browser.click("tbody tr:first-child .open").await?;
        browser.until("return document.getElementById('no-lines').checkVisibility()").await?;
        browser.screenshot(&format!("{name}-order")).await?;
        let fits = "const { scrollWidth, clientWidth } = document.getElementById('detail');
            return scrollWidth <= clientWidth";
        assert_eq!(browser.run(fits).await?, true, "{name}");
        browser.open("about:blank").await?;
    }
    scene.is_quiet().await
}

#[tokio::test]
async fn the_largest_amounts_and_numbers_are_shown_to_the_last_digit() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    let totals = [
        (MAX_CENTS, "90,071,992,547,409.91"),
        (MAX_CENTS - 1, "90,071,992,547,409.90"),
        (MAX_CENTS - 92, "90,071,992,547,408.99"),
        (100, "1.00"),
        (7, "0.07"),
        (0, "0.00"),
    ];
    for (number, (total_cents, _)) in (1..).zip(totals) {
        let order = Order { customer: "carol", total_cents, item_count: i32::MAX, sku: "TEA" };
        scene.place_order(100 - number, &order).await?;
    }
    scene.open("customer=carol").await?;
    let texts = totals.map(|(_, text)| text);
    browser.until_texts("tbody .total", &texts).await?;
    browser.until_texts("tbody .items", &["2147483647 items"; 6]).await?;
    for (row, text) in (1..).zip(texts) {
        browser.click(&format!("tbody tr:nth-child({row}) .open")).await?;
        browser.until_texts("#detail-total", &[text]).await?;
        browser.until_texts("#no-lines-sku", &["2147483647 items; the last one is TEA."]).await?;
        browser.click("#close").await?;
    }
    // Streamed values have the same format.
    browser.until_texts("#state", &["live"]).await?;
    scene.change(98, "shipped").await?;
    browser.until_texts("tr:has([data-status=shipped]) .total", &["90,071,992,547,409.90"]).await?;
    scene.is_quiet().await
}

#[tokio::test]
async fn a_right_to_left_id_does_not_reorder_other_text() -> Result<()> {
    let Some(scene) = Scene::create().await? else { return Ok(()) };
    let browser = &scene.browser;
    // An override, an override after an end of the isolation, and Arabic text.
    let texts = ["\u{202E}evil", "a\u{2069}\u{2069}\u{202E}evil", "\u{645}\u{62A}\u{62C}\u{631}"];
    for (number, text) in (1..).zip(texts) {
        scene
            .place_order(90 + number, &Order { customer: text, total_cents: 5, item_count: 1, sku: text })
            .await?;
        let fragment = format!("customer={}", percent_encoded(text));
        // The words around the id are left to right, and after the id.
        let in_order = "(selector) => {
            const around = document.querySelector(selector);
            const at = (text, index) => {
                const range = new Range();
                range.setStart(text, index);
                range.setEnd(text, index + 1);
                return range.getBoundingClientRect();
            };
            const after = [...around.childNodes].filter((node) => node instanceof Text).at(-1);
            const word = after.data.match(/[a-z]{3,}/i).index;
            const [first, second, third] = [0, 1, 2].map((offset) => at(after, word + offset).left);
            const id = around.querySelector('bdi').getBoundingClientRect();
            const isBehind = around.firstChild === after || id.right <= first + 1;
            return first < second && second < third && isBehind;
        }";
        scene.open(&fragment).await?;
        browser.until_texts("#state", &["live"]).await?;
        assert_eq!(browser.run(&format!("return ({in_order})('caption')")).await?, true, "{text:?}");
        browser.screenshot(&format!("right-to-left-{number}")).await?;
        browser.click("tbody .open").await?;
        browser.until("return document.getElementById('no-lines').checkVisibility()").await?;
        let isolated = "const fields = [...document.querySelectorAll('#detail bdi')];
            return fields.filter((field) => field.checkVisibility()).length";
        assert_eq!(browser.run(isolated).await?, 2, "customer and SKU");
        let title = browser.run("return document.title").await?;
        let title = title.as_str().unwrap_or_default();
        let plain: String = text.chars().filter(|char| !matches!(char, '\u{202E}' | '\u{2069}')).collect();
        assert!(title.ends_with(&format!(" · \u{2068}{plain}\u{2069} · Orders")), "{title:?}");

        scene.open(&format!("{fragment}&status=cancelled")).await?;
        browser.until_texts("#state", &["live"]).await?;
        browser.until("return document.getElementById('none').checkVisibility()").await?;
        assert_eq!(browser.run(&format!("return ({in_order})('#none')")).await?, true, "{text:?}");
    }
    scene.is_quiet().await
}

fn percent_encoded(text: &str) -> String {
    let encoded: Vec<_> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    encoded.concat()
}
