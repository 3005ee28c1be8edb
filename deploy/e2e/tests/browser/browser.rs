//! Headless Chromium, controlled through `WebDriver` (W3C, JSON over HTTP).

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};
use serde_json::{Value, json};
use testkit::wait;

/// Limit for each expected state of the page.
const SOON: Duration = Duration::from_secs(15);

/// The key of an element in `WebDriver` responses.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Arguments of the browser. `--no-sandbox` is added for root, whom the sandbox refuses.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1100,800",
    "--lang=en-US",
    "--host-resolver-rules=MAP elsewhere.test 127.0.0.1",
];

/// How often the driver is started. It takes a free IPv4 port, then needs the same IPv6 port, and exits if another
/// process uses that.
const DRIVER_STARTS: usize = 5;

/// A driver and its port.
fn start_driver(program: &Path, temp_dir: &Path) -> Result<(Child, String)> {
    for _ in 0..DRIVER_STARTS {
        // When this process ends, the driver gets a signal and ends the browser.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(program).arg("--port=0");
        command.env("TMPDIR", temp_dir).env("TZ", "UTC");
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().context("setpriv, of util-linux")?;
        let stdout = driver.stdout.take().context("no output")?;
        let port = BufReader::new(stdout).lines().map_while(Result::ok).find_map(|line| {
            let port = line.split_once("successfully on port ")?.1;
            Some(port.trim_end_matches('.').to_owned())
        });
        match port {
            Some(port) => return Ok((driver, port)),
            // Its output is closed, so it is ending.
            None => driver.wait().map(drop)?,
        }
    }
    anyhow::bail!("the driver has found no port in {DRIVER_STARTS} starts")
}

/// A browser with one page. Dropping it ends the browser.
pub(crate) struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    /// The browser's files, removed with it.
    profile: tempfile::TempDir,
}

impl Browser {
    /// `None`, with a message, if the machine has no browser.
    #[expect(clippy::print_stderr, reason = "cargo shows it beside the name of the test")]
    pub(crate) async fn start() -> Result<Option<Self>> {
        let (Some(driver), Some(chromium)) = (on_path("chromedriver"), on_path("chromium")) else {
            let missing = "no browser: install Debian's packages `chromium` and `chromium-driver`";
            anyhow::ensure!(std::env::var_os("REQUIRE_BROWSER").is_none(), missing);
            eprintln!("NOT TESTED, {missing}");
            return Ok(None);
        };
        let profile = tempfile::tempdir()?;
        let (driver, port) = start_driver(&driver, profile.path())?;
        let mut browser = Self { driver, client: reqwest::Client::new(), session: String::new(), profile };
        let root = format!("http://127.0.0.1:{port}/session");
        let sandbox = geteuid().is_root().then_some("--no-sandbox");
        let profile = format!("--user-data-dir={}", browser.profile.path().join("profile").display());
        let flags: Vec<_> = FLAGS.into_iter().chain(sandbox).chain([profile.as_str()]).collect();
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": chromium, "args": flags}, "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.call(&root, &capabilities).await?;
        let id = session.get("sessionId").and_then(Value::as_str).context("no session")?;
        browser.session = format!("{root}/{id}");
        Ok(Some(browser))
    }

    async fn call(&self, url: &str, body: &Value) -> Result<Value> {
        let response: Value = self.client.post(url).json(body).send().await?.json().await?;
        let value = response.get("value").cloned().unwrap_or_default();
        anyhow::ensure!(value.get("error").is_none(), "{url}: {value}");
        Ok(value)
    }

    pub(crate) async fn command(&self, path: &str, body: Value) -> Result<Value> {
        self.call(&format!("{}/{path}", self.session), &body).await
    }

    pub(crate) async fn open(&self, url: &str) -> Result<()> {
        self.command("url", json!({ "url": url })).await.map(drop)
    }

    pub(crate) async fn back(&self) -> Result<()> {
        self.command("back", json!({})).await.map(drop)
    }

    /// Opens and shows a new tab. Returns its name.
    pub(crate) async fn new_tab(&self) -> Result<String> {
        let tab = self.command("window/new", json!({"type": "tab"})).await?;
        let tab = tab.get("handle").and_then(Value::as_str).context("no tab")?.to_owned();
        self.show_tab(&tab).await?;
        Ok(tab)
    }

    /// The name of the current tab.
    pub(crate) async fn tab(&self) -> Result<String> {
        let tab = self.client.get(format!("{}/window", self.session)).send().await?.json::<Value>().await?;
        Ok(tab.get("value").and_then(Value::as_str).context("no tab")?.to_owned())
    }

    pub(crate) async fn tabs(&self) -> Result<Vec<String>> {
        let tabs =
            self.client.get(format!("{}/window/handles", self.session)).send().await?.json::<Value>().await?;
        Ok(serde_json::from_value(tabs.get("value").cloned().unwrap_or_default())?)
    }

    /// Switches to this tab.
    pub(crate) async fn show_tab(&self, tab: &str) -> Result<()> {
        self.command("window", json!({"handle": tab})).await?;
        self.devtools("Page.bringToFront", json!({})).await?;
        self.until("return document.visibilityState === 'visible'").await
    }

    /// Sets the window's width and the preferred colour scheme, without animations.
    pub(crate) async fn set_appearance(&self, width: u16, scheme: &str) -> Result<()> {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.devtools("Emulation.setEmulatedMedia", features).await?;
        let size = json!({"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await.map(drop)
    }

    /// Runs a script in the page. Returns its value, or that of its promise.
    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        self.command("execute/sync", json!({"script": script, "args": []})).await
    }

    pub(crate) async fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector).await?;
        self.command(&format!("element/{element}/click"), json!({})).await.map(drop)
    }

    /// Replaces the text of the field.
    pub(crate) async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector).await?;
        self.command(&format!("element/{element}/clear"), json!({})).await?;
        self.command(&format!("element/{element}/value"), json!({ "text": text })).await.map(drop)
    }

    /// Waits until the element can be used: pages show theirs some time after what causes it.
    async fn element(&self, selector: &str) -> Result<String> {
        self.until(&format!(
            "return document.querySelector({})?.checkVisibility() === true",
            json!(selector)
        ))
        .await?;
        let element = self.command("element", json!({"using": "css selector", "value": selector})).await?;
        Ok(element.get(ELEMENT).and_then(Value::as_str).context("no element")?.to_owned())
    }

    /// Presses a key.
    pub(crate) async fn press(&self, key: &str) -> Result<()> {
        let [down, up] = ["keyDown", "keyUp"].map(|step| json!({"type": step, "value": key}));
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": [down, up]});
        self.command("actions", json!({ "actions": [keyboard] })).await.map(drop)
    }

    /// The texts of the visible elements, with single blanks as white space.
    pub(crate) async fn texts(&self, selector: &str) -> Result<Vec<String>> {
        let script = format!(
            "return [...document.querySelectorAll({})].filter(e => e.checkVisibility()).map(e => e.innerText)",
            json!(selector)
        );
        let texts: Vec<String> = serde_json::from_value(self.run(&script).await?)?;
        Ok(texts.iter().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
    }

    /// Waits until the elements have these texts.
    pub(crate) async fn until_texts(&self, selector: &str, expected: &[impl AsRef<str>]) -> Result<()> {
        let expected: Vec<_> = expected.iter().map(AsRef::as_ref).collect();
        let found = wait::until(selector, SOON, || async {
            match self.texts(selector).await {
                Ok(texts) if texts == expected => Ok(()),
                other => Err(other),
            }
        });
        found.await.with_context(|| format!("expected {expected:?}"))
    }

    /// Waits until the script returns true.
    pub(crate) async fn until(&self, script: &str) -> Result<()> {
        let found = wait::until(script, SOON, || async {
            match self.run(script).await {
                Ok(Value::Bool(true)) => Ok(()),
                other => Err(other),
            }
        });
        Ok(found.await?)
    }

    /// A command of the browser's protocol (CDP).
    pub(crate) async fn devtools(&self, name: &str, parameters: Value) -> Result<Value> {
        self.command("goog/cdp/execute", json!({"cmd": name, "params": parameters})).await
    }

    /// The new lines of the page's console.
    pub(crate) async fn console(&self) -> Result<Vec<String>> {
        let lines = self.command("se/log", json!({"type": "browser"})).await?;
        let message = |line: &Value| Some(line.get("message")?.as_str()?.to_owned());
        Ok(lines.as_array().into_iter().flatten().filter_map(message).collect())
    }

    /// Saves a picture: `target/screenshots/<name>.png`.
    pub(crate) async fn screenshot(&self, name: &str) -> Result<()> {
        let picture =
            self.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": false})).await?;
        let data = picture.get("data").and_then(Value::as_str).context("no picture")?;
        let target = super::scene::target()?.join("screenshots");
        std::fs::create_dir_all(&target)?;
        Ok(std::fs::write(target.join(format!("{name}.png")), BASE64_STANDARD.decode(data)?)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.driver.id()) {
            let _already_gone = killpg(Pid::from_raw(group), Signal::SIGTERM);
        }
        let _reaped = self.driver.wait();
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}
