//! A scene whose read-api demands tokens.

use anyhow::Result;
use testkit::tokens::{Role, TokenIssuer};

use crate::recorder::Recorder;
use crate::scene::{Order, Scene};

pub(crate) const FIRST: &str = "This server shows orders only to callers with an access token.";
pub(crate) const REFUSED: &str = "The server did not accept the token. Enter another one.";

/// The dialog is open, and the keyboard types into its field.
const IS_ASKING: &str =
    "return document.getElementById('token').open && document.activeElement.id === 'token-text'";

/// Longer than two refreshes of a list of all customers, and than the longest pause before a stream is opened again.
const QUIET_MS: u32 = 11_000;

pub(crate) struct Secured {
    pub(crate) scene: Scene,
    pub(crate) issuer: TokenIssuer,
    pub(crate) recorder: Recorder,
    _keys: tempfile::TempDir,
}

impl Secured {
    /// With the orders of a [`Scene`], and order 99 of bob. `None` without a browser.
    pub(crate) async fn create() -> Result<Option<Self>> {
        let keys = tempfile::tempdir()?;
        let issuer = TokenIssuer::new(keys.path())?;
        let mut variables = issuer.variables();
        variables.push(("AUTH_LEEWAY_S".to_owned(), "0".to_owned()));
        let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let Some(scene) = Scene::create_with(&variables).await? else { return Ok(None) };
        scene.place_order(99, &Order { customer: "bob", total_cents: 5, item_count: 1, sku: "TEA" }).await?;
        let recorder = Recorder::start(&scene.url).await?;
        Ok(Some(Self { scene, issuer, recorder, _keys: keys }))
    }

    /// Opens the page at this fragment in a new document.
    pub(crate) async fn open(&self, fragment: &str) -> Result<()> {
        self.scene.browser.open("about:blank").await?;
        self.scene.browser.open(&format!("{}/#{fragment}", self.recorder.url)).await
    }

    pub(crate) fn staff(&self) -> Result<String> {
        Ok(self.issuer.token_of(Role::Dashboard)?)
    }

    pub(crate) fn customer(&self, customer: &str) -> Result<String> {
        Ok(self.issuer.token_of(Role::Customer(customer))?)
    }

    /// Waits until the page asks for a token, for this reason.
    pub(crate) async fn until_asked(&self, reason: &str) -> Result<()> {
        self.scene.browser.until_texts("#token-why", &[reason]).await?;
        self.scene.browser.until(IS_ASKING).await
    }

    /// Waits for the dialog, and enters this text.
    pub(crate) async fn enter(&self, text: &str) -> Result<()> {
        self.scene.browser.until(IS_ASKING).await?;
        self.scene.browser.fill("#token-text", text).await?;
        self.scene.browser.click("#token .main").await
    }

    /// Lets time pass in the page. No request for orders comes, and there have been `number` before.
    pub(crate) async fn sends_no_more_than(&self, number: usize) -> Result<()> {
        self.scene.browser.run(&format!("window.quietUntil = performance.now() + {QUIET_MS}")).await?;
        self.scene.browser.until("return performance.now() > window.quietUntil").await?;
        assert_eq!(self.recorder.api().len(), number, "{:#?}", self.recorder.api());
        Ok(())
    }

    /// The end of each test: the browser has logged refusals, and nothing else.
    pub(crate) async fn logs_only(&self, statuses: &[u16]) -> Result<()> {
        let lines = self.scene.browser.console().await?;
        let is_expected = |line: &String| {
            statuses.iter().any(|status| line.contains(&format!("responded with a status of {status}")))
        };
        assert!(lines.iter().all(is_expected), "{lines:#?}");
        Ok(())
    }
}
