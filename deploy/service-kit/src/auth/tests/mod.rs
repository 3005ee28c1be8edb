//! Tests of authentication with real keys, and what they share.

mod addresses;
mod authenticator;
mod expectation;
mod key_server;
mod refusals;
mod served;
mod shares;
mod streams;

use std::fmt::Debug;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::key_server::{KeyServer, Reply};
use super::keys::Source;
pub(super) use super::test_keys::TestKey;
use super::token::Rules;
use super::verified::Clock;
use super::{AuthConfig, JwtAuthenticator};
use crate::config::Vars;
use crate::health::Health;
use crate::metrics::Registry;
use crate::shares::{FairShares, SharesConfig};
pub(super) use crate::test_log::Log;

/// The key as a document must not have it.
pub(super) fn private_jwk(key: &TestKey) -> Value {
    let mut jwk = key.jwk();
    jwk["d"] = "secret".into();
    jwk
}

/// A token with the scope `read`.
pub(super) fn token_of(key: &TestKey, subject: &str, expires: i64) -> String {
    let header = json!({"alg": "EdDSA", "kid": key.kid});
    let claims = json!({
        "iss": "https://issuer.test", "aud": "orders", "sub": subject, "exp": expires, "scope": "read",
    });
    key.sign(&header.to_string(), &claims.to_string())
}

pub(super) fn document(keys: &[&TestKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// A key set in a file.
pub(super) struct KeyFile {
    dir: TempDir,
}

impl KeyFile {
    pub(super) fn new(document: &str) -> Self {
        let file = Self { dir: tempfile::tempdir().unwrap() };
        file.write(document);
        file
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("jwks.json")
    }

    pub(super) fn source(&self) -> Source {
        Source::file(self.path())
    }

    /// In one step: a reader never sees a part of it.
    pub(super) fn write(&self, document: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, document).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }
}

/// The value of a metric, with its labels as they are rendered.
pub(super) fn metric<T: FromStr<Err: Debug>>(registry: &Registry, name: &str) -> T {
    let body = registry.response().into_body().try_into_bytes().unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

/// Waits until `condition` holds, 10 seconds at most.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), holds).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A health without any other reason not to be ready.
pub(super) fn health() -> Health {
    let health = Health::with_grace(Duration::from_hours(1), CancellationToken::new());
    health.succeeded();
    health
}

/// Far from both ends of the clock.
const START: i64 = 1_800_000_000;

/// The authenticator of a process, with a clock of its own.
struct Process {
    jwt: Arc<JwtAuthenticator>,
    health: Health,
    registry: Registry,
    now: Arc<AtomicI64>,
    _keeper: AbortOnDropHandle<()>,
}

impl Process {
    fn start(source: Source) -> Self {
        Self::start_with(source, &SharesConfig::default())
    }

    fn start_with(source: Source, shares: &SharesConfig) -> Self {
        let vars = [
            ("AUTH", "jwt"),
            ("AUTH_JWKS_FILE", "/given"),
            ("AUTH_ISSUER", "https://issuer.test"),
            ("AUTH_AUDIENCE", "orders"),
            ("AUTH_ALGORITHMS", "RS256,PS256,ES256,EdDSA"),
        ];
        let vars: Vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let config = AuthConfig::from_vars(&vars).unwrap();
        let rules = Rules::from_config(&config).unwrap();
        let (health, registry) = (health(), Registry::new(&[]).unwrap());
        let now = Arc::new(AtomicI64::new(START));
        let clock: Clock = {
            let now = Arc::clone(&now);
            Arc::new(move || at(now.load(Ordering::Relaxed)))
        };
        let shares = FairShares::new(shares, &registry);
        let (jwt, keeper) = JwtAuthenticator::new(rules, source, shares, clock, &health, &registry);
        let keeper = AbortOnDropHandle::new(tokio::spawn(keeper.run()));
        Self { jwt: Arc::new(jwt), health, registry, now, _keeper: keeper }
    }

    async fn ready(source: Source) -> Self {
        Self::ready_with(source, &SharesConfig::default()).await
    }

    async fn ready_with(source: Source, shares: &SharesConfig) -> Self {
        let process = Self::start_with(source, shares);
        until("ready", || process.health.ready().is_ok()).await;
        process
    }

    fn set_clock(&self, now: i64) {
        self.now.store(now, Ordering::Relaxed);
    }

    fn metric(&self, name: &str) -> u64 {
        metric(&self.registry, name)
    }

    fn verifications(&self) -> u64 {
        self.metric("orders_auth_verifications_total")
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    headers
}
