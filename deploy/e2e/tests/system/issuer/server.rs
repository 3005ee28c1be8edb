//! The issuer's process, which a test controls.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::process::bind_to_this_thread;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use super::install;

/// `iss` of its tokens.
pub(super) const ISSUER: &str = "https://issuer.test";
/// `aud` of its tokens.
pub(super) const AUDIENCE: &str = "orders";
/// The scopes that the requests of [`super::apis::Api::call`] need.
const EVERY_SCOPE: &str = "orders:place orders:read:any events:read revenue:read";

/// How an issuer is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Down {
    /// It refuses connections.
    Closed,
    /// It accepts connections, and says nothing.
    Silent,
}

/// A running issuer without keys. Dropping it ends it.
pub(super) struct Issuer {
    _process: Child,
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    /// `None` for http.
    tls: Option<Value>,
    url: String,
}

impl Issuer {
    /// `None` without Node.js, if it is not required.
    pub(super) async fn start() -> Result<Option<Self>> {
        Self::start_with(None).await
    }

    /// An issuer with https and this certificate for `localhost`.
    pub(super) async fn start_with_tls(certificate: &str, key: &str) -> Result<Option<Self>> {
        Self::start_with(Some(json!({"cert": certificate, "key": key}))).await
    }

    async fn start_with(tls: Option<Value>) -> Result<Option<Self>> {
        let Some(directory) = install::directory().await? else { return Ok(None) };
        let mut command = Command::new("node");
        // Passed as text, so that it finds the library in the working directory.
        command.args(["--input-type=module", "--eval", include_str!("../../../issuer/issuer.mjs"), ISSUER]);
        command.current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
        bind_to_this_thread(&mut command, Signal::SIGKILL);
        let mut process = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
        let stdin = process.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(process.stdout.take().context("no stdout")?).lines();
        let mut issuer =
            Self { _process: process, pipes: Mutex::new((stdin, stdout)), tls, url: String::new() };
        let port = issuer.up().await?;
        issuer.url = match issuer.tls {
            None => format!("http://127.0.0.1:{port}/jwks"),
            Some(_) => format!("https://localhost:{port}/jwks"),
        };
        Ok(Some(issuer))
    }

    /// With these variables, a process accepts its tokens.
    pub(super) fn variables(&self) -> [(&str, &str); 4] {
        let Self { url, .. } = self;
        [("AUTH", "jwt"), ("AUTH_JWKS_URL", url), ("AUTH_ISSUER", ISSUER), ("AUTH_AUDIENCE", AUDIENCE)]
    }

    /// Adds a key for this algorithm, and returns its `kid`.
    pub(super) async fn add_key(&self, algorithm: &str) -> Result<String> {
        let kid = format!("{algorithm}-{}", uuid::Uuid::new_v4().simple());
        self.run(json!({"command": "add", "alg": algorithm, "kid": kid})).await?;
        Ok(kid)
    }

    pub(super) async fn remove_key(&self, kid: &str) -> Result<()> {
        self.run(json!({"command": "remove", "kid": kid})).await?;
        Ok(())
    }

    /// A token for the requests of [`super::apis::Api::call`]. It differs from all others.
    pub(super) async fn token(&self, kid: &str) -> Result<String> {
        self.changed_token(kid, &json!({}), &json!({"jti": uuid::Uuid::new_v4().to_string()})).await
    }

    /// The same with other members of header and claims; `null` removes one. They are changed before the key signs.
    pub(super) async fn changed_token(&self, kid: &str, header: &Value, claims: &Value) -> Result<String> {
        let mut all = json!({"sub": "caller", "aud": AUDIENCE, "scope": EVERY_SCOPE});
        if let (Some(all), Some(claims)) = (all.as_object_mut(), claims.as_object()) {
            all.extend(claims.clone());
        }
        let minted =
            self.run(json!({"command": "mint", "kid": kid, "header": header, "claims": all})).await?;
        Ok(minted.as_str().context("no token")?.to_owned())
    }

    /// How often the key set was fetched.
    pub(super) async fn fetches(&self) -> Result<u64> {
        self.run(json!({"command": "fetches"})).await?.as_u64().context("no number")
    }

    pub(super) async fn go_down(&self, down: Down) -> Result<()> {
        self.run(json!({"command": "down", "silent": down == Down::Silent})).await?;
        Ok(())
    }

    /// Serves the key set, at the same port each time.
    pub(super) async fn up(&self) -> Result<u64> {
        self.run(json!({"command": "up", "tls": self.tls})).await?.as_u64().context("no port")
    }

    async fn run(&self, command: Value) -> Result<Value> {
        let (stdin, stdout) = &mut *self.pipes.lock().await;
        stdin.write_all(format!("{command}\n").as_bytes()).await?;
        let line = stdout.next_line().await?.context("the issuer has ended")?;
        let mut output: Value = serde_json::from_str(&line)?;
        match output.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => bail!("{command}: {output}"),
        }
    }
}
