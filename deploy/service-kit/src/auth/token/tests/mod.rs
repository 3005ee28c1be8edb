//! Tokens that are accepted, and tokens that are refused.

mod claims;
mod form;
mod header;
mod signature;

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{Rules, TokenError, Unverified};
use crate::auth::Caller;
use crate::auth::key_set::KeySet;
use crate::auth::test_keys::TestKey;

const ISSUER: &str = "https://issuer.test/";
const AUDIENCE: &str = "orders";

/// The time at which tokens are verified, in seconds.
const NOW: i64 = 1_900_000_000;

static RSA: LazyLock<TestKey> = LazyLock::new(|| TestKey::rsa("rsa"));
static P256: LazyLock<TestKey> = LazyLock::new(|| TestKey::p256("p256"));
static P384: LazyLock<TestKey> = LazyLock::new(|| TestKey::p384("p384"));
static ED25519: LazyLock<TestKey> = LazyLock::new(|| TestKey::ed25519("ed25519"));

const ALL: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::ES384];

fn rules() -> Rules {
    Rules {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        algorithms: ALL.into(),
        leeway: TimeDelta::seconds(30),
        customer_claim: "customer_id".into(),
        scope_claim: "scope".into(),
    }
}

fn key_set(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes(), &ALL).unwrap().keys
}

fn keys() -> KeySet {
    key_set(&[RSA.jwk(), P256.jwk(), P384.jwk(), ED25519.jwk()])
}

/// A valid header for this key and algorithm.
fn header(algorithm: &str, key: &TestKey) -> Value {
    json!({"alg": algorithm, "typ": "at+jwt", "kid": key.kid})
}

fn valid_claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "exp": NOW + 60,
        "nbf": NOW - 60,
        "iat": NOW - 60,
        "scope": "orders:read orders:cancel",
        "customer_id": "customer-1",
    })
}

/// The same object with another value.
fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    object[name] = value.into();
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

/// The text of an object in which the member occurs once more, with this value.
fn twice(object: &Value, name: &str, value: &Value) -> String {
    let text = object.to_string();
    format!("{},\"{name}\":{value}}}", text.strip_suffix('}').unwrap())
}

fn verify(token: &str) -> Result<Caller, TokenError> {
    verify_with(token, &keys(), &rules())
}

fn verify_with(token: &str, keys: &KeySet, rules: &Rules) -> Result<Caller, TokenError> {
    let token = Unverified::parse(token, rules)?;
    let key = keys.find(token.kid()).ok_or(TokenError::UnknownKey)?;
    token.verify(key, rules, DateTime::from_timestamp(NOW, 0).unwrap())
}

/// What becomes of a token with this header, signed with `EdDSA`.
fn verify_header(header: &Value) -> Result<Caller, TokenError> {
    verify(&ED25519.sign(&header.to_string(), &valid_claims().to_string()))
}

/// What becomes of a token with these claims, signed with `EdDSA`.
fn verify_claims(claims: &Value) -> Result<Caller, TokenError> {
    verify(&ED25519.sign(&header("EdDSA", &ED25519).to_string(), &claims.to_string()))
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[test]
fn a_valid_token_of_each_algorithm_is_accepted() {
    let expected = Caller {
        subject: "alice".into(),
        customer: Some("customer-1".into()),
        scopes: "orders:read orders:cancel".into(),
        expires: at(NOW + 90),
    };
    let signers: [(_, &TestKey); 5] =
        [("RS256", &RSA), ("PS256", &RSA), ("ES256", &P256), ("ES384", &P384), ("EdDSA", &ED25519)];
    for (algorithm, key) in signers {
        let token = key.sign(&header(algorithm, key).to_string(), &valid_claims().to_string());
        assert_eq!(verify(&token), Ok(expected.clone()), "{algorithm}");
        let only_others: Vec<_> = ALL.into_iter().filter(|one| Ok(*one) != algorithm.parse()).collect();
        let rules = Rules { algorithms: only_others.into(), ..rules() };
        assert_eq!(verify_with(&token, &keys(), &rules), Err(TokenError::Algorithm), "{algorithm}");
    }
}
