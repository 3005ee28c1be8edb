//! Documents that are read, and keys that are left out.

mod numbers;

use std::sync::LazyLock;

use serde_json::json;

use super::*;
use crate::auth::test_keys::{TestKey, base64};

const ALL: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::ES384];

static RSA: LazyLock<TestKey> = LazyLock::new(|| TestKey::rsa("a"));
static P256: LazyLock<TestKey> = LazyLock::new(|| TestKey::p256("a"));
static P384: LazyLock<TestKey> = LazyLock::new(|| TestKey::p384("a"));
static ED25519: LazyLock<TestKey> = LazyLock::new(|| TestKey::ed25519("a"));

fn parse(jwks: &[Value]) -> Parsed {
    KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes(), &ALL).unwrap()
}

fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn named(kid: &str, key: &TestKey) -> Value {
    with(key.jwk(), "kid", kid)
}

fn kids(set: &BTreeSet<Box<str>>) -> Vec<&str> {
    set.iter().map(|kid| &**kid).collect()
}

/// The reason why the only key is left out.
fn refusal(jwk: &Value) -> Option<Unusable> {
    let parsed = parse(std::slice::from_ref(jwk));
    assert_eq!(parsed.keys.len() + parsed.left_out.len(), 1, "{jwk}");
    parsed.left_out.first().map(|left_out| left_out.why)
}

#[test]
fn a_key_verifies_the_configured_algorithms_that_fit_it() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
    for (jwk, fitting) in [
        (RSA.jwk(), &[RS256, PS256][..]),
        (with(RSA.jwk(), "alg", "PS256"), &[PS256]),
        (P256.jwk(), &[ES256]),
        (P384.jwk(), &[ES384]),
        (ED25519.jwk(), &[EdDSA]),
        (with(with(ED25519.jwk(), "alg", "EdDSA"), "use", "sig"), &[EdDSA]),
        (with(ED25519.jwk(), "alg", "Ed25519"), &[EdDSA]),
        (with(P256.jwk(), "key_ops", json!(["verify"])), &[ES256]),
        (with(P256.jwk(), "x5c", json!(["MIIB"])), &[ES256]),
    ] {
        let keys = parse(std::slice::from_ref(&jwk)).keys;
        let key = keys.find("a").unwrap();
        let found: Vec<_> = ALL.into_iter().filter(|algorithm| key.fits(*algorithm)).collect();
        assert!(
            found.len() == fitting.len() && fitting.iter().all(|one| found.contains(one)),
            "{jwk}: {found:?}"
        );
    }
    let document = json!({"keys": [RSA.jwk(), named("b", &P256)]}).to_string();
    let parsed = KeySet::parse(document.as_bytes(), &[ES256]).unwrap();
    assert_eq!((parsed.keys.len(), parsed.left_out[0].why), (1, Unusable::Algorithm));
}

#[test]
fn private_keys_are_left_out() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"] {
        for key in [&RSA, &P256, &ED25519] {
            for value in [json!(base64("x")), json!(""), json!(null)] {
                assert_eq!(refusal(&with(key.jwk(), name, value)), Some(Unusable::Private), "{name}");
            }
        }
    }
}

#[test]
fn keys_of_another_kind_are_left_out() {
    let oct = json!({"kty": "oct", "kid": "a", "k": base64("secret"), "alg": "HS256"});
    for (jwk, why) in [
        (oct, Unusable::Type),
        (with(RSA.jwk(), "kty", "rsa"), Unusable::Type),
        (with(RSA.jwk(), "kty", "AKP"), Unusable::Type),
        (with(RSA.jwk(), "kty", 1), Unusable::Member("kty")),
        (without(RSA.jwk(), "kty"), Unusable::Member("kty")),
        (with(RSA.jwk(), "kty", "EC"), Unusable::Member("crv")),
        (with(RSA.jwk(), "use", "enc"), Unusable::NotForVerifying),
        (with(RSA.jwk(), "use", json!(["sig"])), Unusable::NotForVerifying),
        (with(RSA.jwk(), "use", json!(null)), Unusable::NotForVerifying),
        (with(RSA.jwk(), "key_ops", json!(["encrypt", "sign"])), Unusable::NotForVerifying),
        (with(RSA.jwk(), "key_ops", json!([])), Unusable::NotForVerifying),
        (with(RSA.jwk(), "key_ops", "verify"), Unusable::NotForVerifying),
        (with(RSA.jwk(), "alg", "RSA-OAEP"), Unusable::Algorithm),
        (with(RSA.jwk(), "alg", "RS512"), Unusable::Algorithm),
        (with(RSA.jwk(), "alg", "HS256"), Unusable::Algorithm),
        (with(RSA.jwk(), "alg", json!(null)), Unusable::Algorithm),
        (with(P256.jwk(), "alg", "ES384"), Unusable::Algorithm),
        (with(P256.jwk(), "alg", "Ed25519"), Unusable::Algorithm),
        (with(ED25519.jwk(), "alg", "Ed448"), Unusable::Algorithm),
        (with(ED25519.jwk(), "alg", "ed25519"), Unusable::Algorithm),
        (json!("a"), Unusable::NotAnObject),
        (json!(null), Unusable::NotAnObject),
    ] {
        assert_eq!(refusal(&jwk), Some(why), "{jwk}");
    }
}

#[test]
fn a_kid_is_required() {
    for kid in [json!(null), json!(1), json!(""), json!("x".repeat(256)), json!("a\n")] {
        let parsed = parse(&[with(RSA.jwk(), "kid", kid)]);
        assert_eq!(parsed.left_out, [LeftOut { kid: None, why: Unusable::NoKid }]);
        assert!(parsed.keys.is_empty() && parsed.withdrawn.is_empty());
    }
    assert_eq!(refusal(&without(RSA.jwk(), "kid")), Some(Unusable::NoKid));
}

#[test]
fn a_kid_of_two_keys_is_ambiguous() {
    let private = with(named("a", &P256), "d", base64("x"));
    for pair in [
        [RSA.jwk(), TestKey::rsa("a").jwk()],
        [RSA.jwk(), named("a", &P256)],
        [RSA.jwk(), private.clone()],
        [private, RSA.jwk()],
    ] {
        let parsed = parse(&[&pair[..], &[named("b", &ED25519)]].concat());
        assert_eq!((parsed.keys.len(), parsed.left_out.len()), (1, 2), "{pair:?}");
        assert!(parsed.left_out.iter().any(|left_out| left_out.why == Unusable::AmbiguousKid));
        assert_eq!(kids(&parsed.withdrawn), ["a"]);
    }
    // A key for another purpose does not compete.
    let parsed = parse(&[with(P384.jwk(), "use", "enc"), RSA.jwk()]);
    assert_eq!((parsed.keys.len(), parsed.left_out.len(), parsed.withdrawn.len()), (1, 1, 0));
}

#[test]
fn one_key_in_several_entries_verifies_the_algorithms_of_all() {
    let [rs256, ps256] = ["RS256", "PS256"].map(|alg| with(RSA.jwk(), "alg", alg));
    let [once, both] = [parse(&[RSA.jwk()]), parse(&[rs256.clone(), ps256.clone()])];
    assert_eq!(both, once);
    assert_eq!(parse(&[ps256.clone(), rs256.clone(), ps256]), once, "in any order");
    assert_eq!(parse(&[P256.jwk(), P256.jwk()]), parse(&[P256.jwk()]));
    assert_ne!(parse(&[rs256.clone(), rs256.clone()]), once, "no other algorithm");
    // The same key, no longer secret.
    let parsed = parse(&[rs256.clone(), rs256, with(RSA.jwk(), "d", base64("x"))]);
    assert_eq!((parsed.keys.len(), parsed.left_out.len()), (0, 3));
}

#[test]
fn a_key_whose_private_part_is_in_the_document_is_left_out_whatever_its_kid_is() {
    for key in [&RSA, &P256, &P384, &ED25519] {
        let private = with(key.jwk(), "d", base64("x"));
        for private in
            [with(private.clone(), "kid", "z"), with(private.clone(), "use", "enc"), without(private, "kid")]
        {
            for jwks in [[named("b", key), private.clone()], [private.clone(), named("b", key)]] {
                let parsed = parse(&jwks);
                assert_eq!((parsed.keys.len(), parsed.left_out.len()), (0, 2), "{private}");
                assert!(
                    parsed.left_out.iter().any(|left_out| left_out.why == Unusable::Published),
                    "{private}"
                );
                assert!(kids(&parsed.withdrawn).contains(&"b"), "{private}");
            }
        }
        let another = with(named("z", &TestKey::rsa("c")), "d", base64("x"));
        assert_eq!(parse(&[named("b", key), another]).keys.len(), 1);
    }
}

#[test]
fn a_key_that_must_not_be_used_is_withdrawn() {
    let mut old = parse(&[named("a", &RSA), named("b", &P256), named("c", &ED25519)]).keys;
    let new = parse(&[
        with(named("a", &RSA), "d", "x"),
        with(named("b", &P256), "use", "enc"),
        json!({"kid": "z"}),
    ]);
    assert!(new.keys.is_empty());
    assert_eq!(kids(&new.withdrawn), ["a", "b", "z"]);
    old.remove(&new.withdrawn, &new.published);
    assert_eq!((old.len(), old.find("c").is_some()), (1, true));
    let new = parse(&[with(named("z", &ED25519), "d", "x")]);
    old.remove(&new.withdrawn, &new.published);
    assert!(old.is_empty(), "its private part is known");
}

#[test]
fn sets_are_equal_if_their_keys_are() {
    let other = TestKey::rsa("a");
    assert_eq!(parse(&[RSA.jwk(), named("b", &P256)]), parse(&[named("b", &P256), RSA.jwk()]));
    assert_ne!(parse(&[RSA.jwk()]), parse(&[other.jwk()]));
    assert_ne!(parse(&[RSA.jwk()]), parse(&[with(RSA.jwk(), "alg", "RS256")]));
}

#[test]
fn a_set_has_at_most_100_keys() {
    let keys: Vec<_> = (0..101).map(|index| named(&index.to_string(), &ED25519)).collect();
    assert_eq!(parse(&keys[..100]).keys.len(), 100);
    let document = json!({ "keys": keys }).to_string();
    assert_eq!(KeySet::parse(document.as_bytes(), &ALL), Err(KeySetError::TooMany(101)));
}

#[test]
fn what_is_no_key_set_is_refused() {
    for (document, error) in [
        ("", KeySetError::Json(JsonError::Syntax)),
        ("<html>", KeySetError::Json(JsonError::Syntax)),
        (r#"{"keys":[1e999]}"#, KeySetError::Json(JsonError::Syntax)),
        (r#"{"keys":[]"#, KeySetError::Json(JsonError::Syntax)),
        ("[]", KeySetError::Json(JsonError::NotAnObject)),
        (r#"{"keys":[],"keys":[]}"#, KeySetError::Json(JsonError::DuplicateMember)),
        (r#"{"keys":[{"kty":"RSA","kty":"oct"}]}"#, KeySetError::Json(JsonError::DuplicateMember)),
        ("{}", KeySetError::NoKeys),
        (r#"{"keys":{}}"#, KeySetError::NoKeys),
        (r#"{"keys":null}"#, KeySetError::NoKeys),
    ] {
        assert_eq!(KeySet::parse(document.as_bytes(), &ALL), Err(error), "{document}");
        assert!(std::error::Error::source(&error).is_none(), "{error} says it already");
    }
    let empty = parse(&[]);
    assert!(empty.keys.is_empty() && empty.left_out.is_empty() && empty.withdrawn.is_empty());
}
