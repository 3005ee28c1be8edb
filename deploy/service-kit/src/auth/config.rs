//! The `AUTH*` variables.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use url::{Host, Url};

use crate::config::{self, ConfigError, Vars, in_range};
use crate::http::HttpConfig;

/// `HS*` would make the key set a secret, and `none` is no signature.
const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("RS256", Algorithm::RS256),
    ("ES256", Algorithm::ES256),
    ("EdDSA", Algorithm::EdDSA),
    ("PS256", Algorithm::PS256),
    ("ES384", Algorithm::ES384),
];

/// Claims with a meaning of their own (RFC 7519, 4.1).
const REGISTERED_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// The most characters of a value.
const MAX_CHARS: usize = 1_024;

/// The `AUTH*` variables. Each one that is set is checked, also with `AUTH=off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// `AUTH`: `jwt`, or `off` for an API that only this machine can reach. Required. `None` is `off`.
    pub(super) trusted: Option<Trusted>,
    /// `AUTH_ALGORITHMS`: the algorithms that tokens may use. Default `RS256,ES256,EdDSA`; also `PS256`, `ES384`.
    pub(super) algorithms: Box<[Algorithm]>,
    /// `AUTH_LEEWAY_S`: how far clocks may differ, 0 to 30. Default 30.
    pub(super) leeway: TimeDelta,
    /// `AUTH_CUSTOMER_CLAIM`: the claim that names the customer a token belongs to. Default `customer_id`.
    pub(super) customer_claim: Box<str>,
    /// `AUTH_SCOPE_CLAIM`: the claim with the scopes. Default `scope`.
    pub(super) scope_claim: Box<str>,
}

/// The issuer whose tokens are accepted. Required with `AUTH=jwt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trusted {
    pub(super) keys: KeySource,
    /// `AUTH_ISSUER`: `iss` of each token.
    pub(super) issuer: Box<str>,
    /// `AUTH_AUDIENCE`: what `aud` of each token contains.
    pub(super) audience: Box<str>,
}

/// Where the keys of the issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySource {
    /// `AUTH_JWKS_URL`: https, or http on this machine. It has no user and no password.
    Url(Url),
    /// `AUTH_JWKS_FILE`: a file.
    File(PathBuf),
}

#[derive(Deserialize)]
struct RawConfig {
    auth: String,
    auth_jwks_url: Option<String>,
    auth_jwks_file: Option<String>,
    auth_issuer: Option<String>,
    auth_audience: Option<String>,
    #[serde(default = "default_algorithms")]
    auth_algorithms: String,
    #[serde(default = "default_leeway_s")]
    auth_leeway_s: u8,
    #[serde(default = "default_customer_claim")]
    auth_customer_claim: String,
    #[serde(default = "default_scope_claim")]
    auth_scope_claim: String,
}

fn default_algorithms() -> String {
    "RS256,ES256,EdDSA".to_owned()
}

const fn default_leeway_s() -> u8 {
    30
}

fn default_customer_claim() -> String {
    "customer_id".to_owned()
}

fn default_scope_claim() -> String {
    "scope".to_owned()
}

impl AuthConfig {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::read("", vars)?;
        in_range("AUTH_LEEWAY_S", &raw.auth_leeway_s, &(0..=30))?;
        let config = Self {
            algorithms: algorithms(&raw.auth_algorithms)?,
            leeway: TimeDelta::seconds(raw.auth_leeway_s.into()),
            customer_claim: claim("AUTH_CUSTOMER_CLAIM", &raw.auth_customer_claim)?,
            scope_claim: claim("AUTH_SCOPE_CLAIM", &raw.auth_scope_claim)?,
            trusted: trusted(&raw)?,
        };
        if config.customer_claim == config.scope_claim {
            return invalid("AUTH_SCOPE_CLAIM", "must not be the claim of AUTH_CUSTOMER_CLAIM");
        }
        // With the other variables, so that nothing has begun.
        config.check_address(HttpConfig::from_vars(vars)?.ip())?;
        Ok(config)
    }

    /// Only programs on this machine may reach an API without tokens.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<(), ConfigError> {
        if self.trusted.is_some() || address.to_canonical().is_loopback() {
            return Ok(());
        }
        invalid("AUTH", format!("must not be `off` with BIND_ADDRESS={address}: other machines can reach it"))
    }
}

fn invalid<T>(variable: &'static str, reason: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { variable, reason: reason.into() })
}

fn trusted(raw: &RawConfig) -> Result<Option<Trusted>, ConfigError> {
    let keys = key_source(raw)?;
    let issuer = optional_text("AUTH_ISSUER", raw.auth_issuer.as_deref())?;
    let audience = optional_text("AUTH_AUDIENCE", raw.auth_audience.as_deref())?;
    let missing = |variable: &str| ConfigError::Missing { variable: variable.to_owned() };
    match raw.auth.as_str() {
        "off" => Ok(None),
        "jwt" => Ok(Some(Trusted {
            keys: keys.ok_or_else(|| missing("AUTH_JWKS_URL or AUTH_JWKS_FILE"))?,
            issuer: issuer.ok_or_else(|| missing("AUTH_ISSUER"))?,
            audience: audience.ok_or_else(|| missing("AUTH_AUDIENCE"))?,
        })),
        // Not the value: it may be a token by mistake.
        _ => invalid("AUTH", "must be `jwt` or `off`"),
    }
}

fn key_source(raw: &RawConfig) -> Result<Option<KeySource>, ConfigError> {
    let file = optional_text("AUTH_JWKS_FILE", raw.auth_jwks_file.as_deref())?;
    let url = raw.auth_jwks_url.as_deref().map(url).transpose()?;
    match (url, file) {
        (Some(_), Some(_)) => invalid("AUTH_JWKS_FILE", "must not be set together with AUTH_JWKS_URL"),
        (Some(url), None) => Ok(Some(KeySource::Url(url))),
        (None, file) => Ok(file.map(|file| KeySource::File(file.into_string().into()))),
    }
}

/// The reasons do not repeat the value, which may contain a secret.
fn url(value: &str) -> Result<Url, ConfigError> {
    let variable = "AUTH_JWKS_URL";
    let Ok(url) = Url::parse(value) else { return invalid(variable, "must be a URL") };
    let is_this_machine = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    if !(url.scheme() == "https" || url.scheme() == "http" && is_this_machine) {
        return invalid(variable, "must begin with https://; http:// is for 127.0.0.1 and [::1] only");
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return invalid(variable, "must not have a user, a password or a fragment");
    }
    Ok(url)
}

fn algorithms(value: &str) -> Result<Box<[Algorithm]>, ConfigError> {
    let variable = "AUTH_ALGORITHMS";
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for name in value.split(',').map(str::trim) {
        let Some((_, algorithm)) = ALGORITHMS.iter().find(|(known, _)| *known == name) else {
            let known = ALGORITHMS.map(|(known, _)| known).join(", ");
            return invalid(variable, format!("must be a list of {known}, not {name:?}"));
        };
        if !names.insert(name) {
            return invalid(variable, format!("has {name} twice"));
        }
        found.push(*algorithm);
    }
    Ok(found.into())
}

fn claim(variable: &'static str, value: &str) -> Result<Box<str>, ConfigError> {
    if REGISTERED_CLAIMS.contains(&value) {
        return invalid(variable, format!("must not be `{value}`, which has a meaning of its own"));
    }
    text(variable, value)
}

fn optional_text(variable: &'static str, value: Option<&str>) -> Result<Option<Box<str>>, ConfigError> {
    value.map(|value| text(variable, value)).transpose()
}

fn text(variable: &'static str, value: &str) -> Result<Box<str>, ConfigError> {
    let is_bounded = !value.is_empty() && value.chars().nth(MAX_CHARS).is_none();
    if is_bounded && value.trim() == value && !value.chars().any(char::is_control) {
        return Ok(value.into());
    }
    let rule = format!("must have 1 to {MAX_CHARS} characters, and no white space at either end");
    invalid(variable, rule)
}

#[cfg(test)]
mod tests;
