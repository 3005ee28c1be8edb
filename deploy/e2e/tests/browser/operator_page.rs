//! The operator's page of the projector.

use anyhow::{Context, Result};
use serde_json::json;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

use crate::accessibility::{LOOKS, obstacles};
use crate::browser::Browser;

// The keys of `WebDriver`.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

struct Page {
    browser: Browser,
    session: Client,
    url: String,
    service: Option<Service>,
    _database: TestDatabase,
    logs: tempfile::TempDir,
}

impl Page {
    /// 30 events are left for an operator; one subscription, which no program runs, and one webhook endpoint.
    async fn open(actions: &str) -> Result<Option<Self>> {
        let Some(browser) = Browser::start().await? else { return Ok(None) };
        let (database, logs) = (TestDatabase::create().await?, tempfile::tempdir()?);
        let session = database.connect().await?;
        let rows = r#"INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at)
            SELECT id, 'order_gift_wrapped',
                '{"order": {"order_id": "00000000-0000-0000-0000-000000000001", "version": 7}}',
                now(), 12, 'the kind is not known', NULL
            FROM generate_series(1, 30) AS id;
            INSERT INTO subscriptions (name) VALUES ('statistics');
            INSERT INTO subscription_checkpoints (subscription, generation, checkpoint, history)
            VALUES ('statistics', 1, 0, 0);
            INSERT INTO webhook_endpoints (slot, url, kinds) VALUES (1, 'https://receiver.invalid/hook', '{}')"#;
        session.batch_execute(rows).await?;
        let kind = ServiceKind::Projector;
        let program = ServiceBinaries::built().await?.program(kind);
        let database_url = database.url(kind.role());
        let vars = [("ADMIN_ACTIONS", actions)];
        let mut service = Service::start_with(&vars, kind, &program, &database_url, 0, logs.path())?;
        service.wait_until_ready().await?;
        let url = service.admin_url().to_owned();
        browser.open(&url).await?;
        browser.until_texts("#connection-state", &["refreshed every 5 seconds"]).await?;
        Ok(Some(Self { browser, session, url, service: Some(service), _database: database, logs }))
    }

    async fn until_ids(&self, ids: impl IntoIterator<Item = i32>) -> Result<()> {
        let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
        self.browser.until_texts("#parked tbody td:first-child", &ids).await
    }

    async fn text(&self, query: &str) -> Result<String> {
        Ok(self.session.query_one(query, &[]).await?.get(0))
    }

    fn stop(&mut self) -> Result<()> {
        self.service.take().map(Service::stop).transpose()?;
        Ok(())
    }
}

#[tokio::test]
async fn it_shows_pages_of_parked_events_and_has_no_buttons_while_actions_are_off() -> Result<()> {
    let Some(page) = Page::open("off").await? else { return Ok(()) };
    let browser = &page.browser;
    page.until_ids(1..=25).await?;
    browser.until_texts("#parked tbody button, #subscriptions button, #webhooks button", &[""; 0]).await?;
    browser.until_texts("#read-only", &["This page only shows: ADMIN_ACTIONS is off."]).await?;
    browser.until_texts("#parked tbody tr:first-child td:nth-child(4)", &["the kind is not known"]).await?;
    browser.until_texts("#subscriptions tbody td:nth-child(2)", &["running"]).await?;
    browser.until_texts("#webhooks tbody td:nth-child(2)", &["receiver.invalid"]).await?;
    browser.click("#parked-next").await?;
    page.until_ids(26..=30).await?;
    browser.click("#parked-first").await?;
    page.until_ids(1..=25).await?;
    // It refreshes itself.
    page.session.batch_execute("DELETE FROM parked_events WHERE id > 1").await?;
    page.until_ids([1]).await?;
    browser
        .run(
            "const s = document.querySelector('#owner'); s.value = 'statistics';
        s.dispatchEvent(new Event('change'))",
        )
        .await?;
    browser.until_texts("#parked-empty", &["No event is parked."]).await?;
    assert_eq!(browser.console().await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn retry_discard_pause_and_resume_work_with_the_keyboard() -> Result<()> {
    let Some(page) = Page::open("on").await? else { return Ok(()) };
    let browser = &page.browser;
    page.session.batch_execute("DELETE FROM parked_events WHERE id > 3").await?;
    page.until_ids([1, 2, 3]).await?;
    // From the first button on, Tab goes to the next one.
    browser.run("document.querySelector('[aria-label=\"Retry event 1\"]').focus()").await?;
    browser.press(TAB).await?;
    browser.press(ENTER).await?;
    browser.until("return document.querySelector('#confirm').open").await?;
    let question = browser.texts("#confirm-text").await?.concat();
    assert!(
        question.contains("deleted with its payload") && question.contains("cannot be undone"),
        "{question}"
    );
    browser.press(ESCAPE).await?;
    browser.until("return !document.querySelector('#confirm').open").await?;
    browser.press(ENTER).await?;
    // The harmless button has the focus.
    browser.until("return document.activeElement.id === 'confirm-no'").await?;
    page.until_ids([1, 2, 3]).await?;
    browser.press(TAB).await?;
    browser.press(ENTER).await?;
    page.until_ids([2, 3]).await?;
    browser.until_texts("#notice", &["Event 1 is discarded."]).await?;
    browser.until("return document.activeElement.getAttribute('aria-label') === 'Retry event 2'").await?;
    browser.press(ENTER).await?;
    browser.until_texts("#notice", &["Event 2 is tried again."]).await?;
    let retried = "SELECT (next_attempt_at IS NOT NULL)::text FROM parked_events WHERE id = 2";
    assert_eq!(page.text(retried).await?, "true");
    let [subscription, webhook] = [
        ("#subscriptions", "SELECT state FROM subscriptions WHERE name = 'statistics'", "running"),
        ("#webhooks", "SELECT state FROM webhook_endpoints", "active"),
    ];
    for (table, state, running) in [subscription, webhook] {
        let button = format!("{table} tbody button");
        browser.click(&button).await?;
        browser.until_texts(&button, &["Resume"]).await?;
        assert_eq!(page.text(state).await?, "paused");
        browser.click(&button).await?;
        browser.until_texts(&button, &["Pause"]).await?;
        assert_eq!(page.text(state).await?, running);
    }
    let log = std::fs::read_to_string(page.logs.path().join("projector.log"))?;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("operator action")).collect();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    let first: serde_json::Value = serde_json::from_str(lines.first().context("no line")?)?;
    for (field, expected) in [
        ("target", json!("audit")),
        ("peer", json!("127.0.0.1")),
        ("action", json!("discard_parked")),
        ("id", json!(1)),
        ("outcome", json!("done")),
    ] {
        assert_eq!(first.get(field), Some(&expected), "{first}");
    }
    assert_eq!(browser.console().await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn errors_are_shown_and_what_was_shown_stays() -> Result<()> {
    let Some(mut page) = Page::open("on").await? else { return Ok(()) };
    page.until_ids(1..=25).await?;
    // Somebody else has discarded it.
    page.browser.run("window.button = document.querySelector('[aria-label=\"Retry event 5\"]')").await?;
    page.session.batch_execute("DELETE FROM parked_events WHERE id = 5").await?;
    // Even if the page has noticed.
    page.browser.run("window.button.click()").await?;
    let gone = "There is nothing with this id or name any more. Nothing was done.";
    page.browser.until_texts("#problem", &[gone]).await?;
    page.stop()?;
    page.browser.until_texts("#problem", &["The projector cannot be reached."]).await?;
    page.browser.until_texts("#connection-state", &["trying again…"]).await?;
    page.browser.until("return document.querySelectorAll('#parked tbody tr').length === 25").await
}

#[tokio::test]
async fn it_is_accessible_in_light_and_dark_and_on_a_phone() -> Result<()> {
    let Some(page) = Page::open("on").await? else { return Ok(()) };
    let browser = &page.browser;
    for (look, scheme, width) in LOOKS {
        browser.set_appearance(width, scheme).await?;
        browser.open("about:blank").await?;
        browser.open(&page.url).await?;
        page.until_ids(1..=25).await?;
        browser.until_texts("#connection-state", &["refreshed every 5 seconds"]).await?;
        assert_eq!(obstacles(browser).await?, [""; 0], "{look}");
        browser.until("return document.documentElement.scrollWidth <= innerWidth").await?;
        browser.screenshot(&format!("operator-{look}")).await?;
        browser.click("[aria-label='Discard event 1']").await?;
        browser.until("return document.querySelector('#confirm').open").await?;
        assert_eq!(obstacles(browser).await?, [""; 0], "{look}, question");
        browser.screenshot(&format!("operator-question-{look}")).await?;
    }
    Ok(())
}
