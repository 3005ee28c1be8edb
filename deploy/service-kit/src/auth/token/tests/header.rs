use super::super::{Part, kid_for_log};
use super::*;
use crate::auth::strict_json::JsonError;

fn valid_header() -> Value {
    header("EdDSA", &ED25519)
}

fn assert_refused(name: &str, values: impl IntoIterator<Item = Value>, error: TokenError) {
    for value in values {
        assert_eq!(verify_header(&with(valid_header(), name, value.clone())), Err(error), "{name}: {value}");
    }
}

#[test]
fn the_kid_is_required_and_known() {
    assert_eq!(verify_header(&without(valid_header(), "kid")), Err(TokenError::NoKid));
    let long = json!("x".repeat(256));
    assert_refused(
        "kid",
        [json!(null), json!(1), json!(""), json!(["ed25519"]), json!("a\n"), long],
        TokenError::Kid,
    );
    let unknown = [json!("x".repeat(255)), json!("Ed25519"), json!("ed25519 "), json!("../../dev/null")];
    assert_refused("kid", unknown, TokenError::UnknownKey);
}

#[test]
fn only_configured_algorithms_are_allowed() {
    let names = [
        "none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS384", "RS512", "PS512", "eddsa", "ed25519",
        "Ed448",
    ];
    assert_refused("alg", names.map(Value::from), TokenError::Algorithm);
    assert_refused("alg", [json!(null), json!(1), json!(["EdDSA"])], TokenError::Algorithm);
    assert_eq!(verify_header(&without(valid_header(), "alg")), Err(TokenError::Algorithm));
}

#[test]
fn ed25519_is_another_name_of_eddsa() {
    let token = ED25519.sign(&header("Ed25519", &ED25519).to_string(), &valid_claims().to_string());
    for alg in [json!(null), json!("EdDSA"), json!("Ed25519")] {
        let jwk = if alg.is_null() { ED25519.jwk() } else { with(ED25519.jwk(), "alg", alg) };
        assert!(verify_with(&token, &key_set(std::slice::from_ref(&jwk)), &rules()).is_ok(), "{jwk}");
    }
    let rules = Rules { algorithms: [Algorithm::RS256].into(), ..rules() };
    assert_eq!(verify_with(&token, &keys(), &rules), Err(TokenError::Algorithm));
}

#[test]
fn the_algorithm_fits_the_key() {
    assert_refused("alg", ["RS256", "PS256", "ES256", "ES384"].map(Value::from), TokenError::AlgorithmOfKey);
    let claims = valid_claims().to_string();
    let pairs: [(&TestKey, _); 7] = [
        (&RSA, "ES256"),
        (&RSA, "EdDSA"),
        (&RSA, "Ed25519"),
        (&P256, "ES384"),
        (&P256, "Ed25519"),
        (&P384, "ES256"),
        (&P256, "RS256"),
    ];
    for (key, algorithm) in pairs {
        let token = key.sign(&header(algorithm, key).to_string(), &claims);
        assert_eq!(verify(&token), Err(TokenError::AlgorithmOfKey), "{algorithm}");
    }
    let for_pkcs1_only = key_set(&[with(RSA.jwk(), "alg", "RS256")]);
    let token = RSA.sign(&header("PS256", &RSA).to_string(), &claims);
    assert_eq!(verify_with(&token, &for_pkcs1_only, &rules()), Err(TokenError::AlgorithmOfKey));
}

#[test]
fn the_type_is_that_of_an_access_token() {
    assert!(verify_header(&without(valid_header(), "typ")).is_ok());
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"] {
        assert!(verify_header(&with(valid_header(), "typ", typ)).is_ok(), "{typ}");
    }
    let others = [
        json!(null),
        json!(1),
        json!(["JWT"]),
        json!(""),
        json!("id+jwt"),
        json!("dpop+jwt"),
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("application/"),
        json!("application/application/jwt"),
        json!("text/jwt"),
        json!("JWT "),
    ];
    assert_refused("typ", others, TokenError::Type);
}

#[test]
fn critical_extensions_are_refused() {
    assert_refused(
        "crit",
        [json!(["exp"]), json!(["b64"]), json!([]), json!(null), json!("x")],
        TokenError::Critical,
    );
}

#[test]
fn a_header_member_that_occurs_twice_is_refused() {
    let valid = with(valid_header(), "x5c", json!([]));
    let refused = Err(TokenError::Json(Part::Header, JsonError::DuplicateMember));
    for (name, value) in valid.as_object().unwrap() {
        let token = ED25519.sign(&twice(&valid, name, value), &valid_claims().to_string());
        assert_eq!(verify(&token), refused, "{name}");
    }
}

#[test]
fn keys_in_the_header_are_never_used() {
    let attacker = TestKey::ed25519("ed25519");
    for (name, value) in [
        ("jwk", attacker.jwk()),
        ("jku", json!("https://attacker.test/jwks")),
        ("x5u", json!("https://attacker.test/certificate")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = with(valid_header(), name, value);
        assert!(verify_header(&header).is_ok(), "{name} is ignored");
        let forged = attacker.sign(&header.to_string(), &valid_claims().to_string());
        assert_eq!(verify(&forged), Err(TokenError::Signature), "{name}");
        let unknown =
            attacker.sign(&with(header, "kid", "attacker").to_string(), &valid_claims().to_string());
        assert_eq!(verify(&unknown), Err(TokenError::UnknownKey), "{name}");
    }
}

#[test]
fn the_kid_of_a_refused_token_can_be_logged() {
    let kid_of = |header: Value| kid_for_log(&ED25519.sign(&header.to_string(), "{}"));
    assert_eq!(kid_of(json!({"kid": "a\n\u{1b}"})).as_deref(), Some(r"a\n\u{1b}"));
    assert_eq!(kid_of(json!({"kid": "x".repeat(1_000)})), Some("x".repeat(64)));
    for header in [json!({}), json!({"kid": 1}), json!([])] {
        assert_eq!(kid_of(header.clone()), None, "{header}");
    }
    for token in ["", ".", "a.b.c", &"ü".repeat(10_000)] {
        assert_eq!(kid_for_log(token), None, "{token}");
    }
}
