use serde_json::Map;

use super::super::{Claim, Part};
use super::*;
use crate::auth::strict_json::JsonError;

const MALFORMED_TIMES: &str = r#"[null, true, "1900000060", "", [], [1900000060], {}, -1, -0.5, 1e30, 1e308,
    253402300800, 253402300800.5, 18446744073709551615, -9223372036854775808]"#;

/// A claim, its name, and values that are refused as malformed.
fn malformed() -> [(Claim, &'static str, Vec<Value>); 8] {
    let long = "x".repeat(256);
    let list = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
    let names = [list(r#"[null, true, 1, [], ["a"], {}, "", "a\n", "\u0000"]"#), vec![long.into()]].concat();
    [
        (Claim::Issuer, "iss", list(r#"[null, true, 1, [], ["https://issuer.test/"], {}]"#)),
        (
            Claim::Audience,
            "aud",
            list(r#"[null, true, 1, {}, {"orders": 1}, ["orders", 1], [["orders"]], [null]]"#),
        ),
        (Claim::Expiry, "exp", list(MALFORMED_TIMES)),
        (Claim::NotBefore, "nbf", list(MALFORMED_TIMES)),
        (Claim::IssuedAt, "iat", list(MALFORMED_TIMES)),
        (Claim::Subject, "sub", names.clone()),
        (Claim::Customer, "customer_id", names),
        (
            Claim::Scope,
            "scope",
            list(r#"[null, true, 1, {}, [1], ["orders:read", null], [["orders:read"]]]"#),
        ),
    ]
}

#[test]
fn a_malformed_claim_is_refused() {
    for (claim, name, values) in malformed() {
        for value in values {
            let refused = verify_claims(&with(valid_claims(), name, value.clone()));
            assert_eq!(refused, Err(TokenError::Malformed(claim)), "{name}: {value}");
        }
    }
}

#[test]
fn a_missing_claim_is_refused_if_it_is_required() {
    for (claim, name, _) in malformed() {
        let result = verify_claims(&without(valid_claims(), name)).map(drop);
        let is_required = ["iss", "aud", "exp", "sub"].contains(&name);
        assert_eq!(result, if is_required { Err(TokenError::Missing(claim)) } else { Ok(()) }, "{name}");
    }
    assert_eq!(verify_claims(&Map::new().into()), Err(TokenError::Missing(Claim::Issuer)));
}

#[test]
fn a_claim_that_occurs_twice_is_refused_even_with_the_same_value() {
    let valid = valid_claims();
    let header = header("EdDSA", &ED25519).to_string();
    let refused = Err(TokenError::Json(Part::Claims, JsonError::DuplicateMember));
    for (name, value) in valid.as_object().unwrap() {
        for second in [value, &Value::Null] {
            let token = ED25519.sign(&header, &twice(&valid, name, second));
            assert_eq!(verify(&token), refused, "{name}: {second}");
        }
    }
    let escaped = twice(&without(valid.clone(), "iat"), r"\u0065xp", &(NOW + 600).into());
    let below = twice(&without(valid, "iat"), "act", &"?".into()).replace(r#""?""#, r#"{"sub":1,"sub":2}"#);
    for claims in [escaped, below] {
        assert_eq!(verify(&ED25519.sign(&header, &claims)), refused, "{claims}");
    }
}

#[test]
fn another_issuer_is_refused() {
    for other in
        ["", "https://issuer.test", "https://issuer.test//", "https://ISSUER.test/", "https://issuer.test/ "]
    {
        assert_eq!(verify_claims(&with(valid_claims(), "iss", other)), Err(TokenError::Issuer), "{other}");
    }
}

#[test]
fn the_audience_contains_ours() {
    let accepted =
        [json!("orders"), json!(["orders"]), json!(["other", "orders"]), json!(["orders", "orders"])];
    for audience in accepted {
        assert!(verify_claims(&with(valid_claims(), "aud", audience.clone())).is_ok(), "{audience}");
    }
    // An ID token is for the client that asked for it (OpenID Connect Core, 2).
    let others = [
        json!("client-1"),
        json!(""),
        json!("Orders"),
        json!("other orders"),
        json!([]),
        json!(["client-1"]),
    ];
    for audience in others {
        let refused = verify_claims(&with(valid_claims(), "aud", audience.clone()));
        assert_eq!(refused, Err(TokenError::Audience), "{audience}");
    }
}

#[test]
fn the_leeway_applies_to_exp() {
    for (exp, result) in [
        (json!(NOW - 31), Err(TokenError::Expired)),
        (json!(NOW - 30), Err(TokenError::Expired)),
        (json!(0), Err(TokenError::Expired)),
        (json!(NOW - 29), Ok(())),
        (serde_json::from_str("1899999970.5").unwrap(), Ok(())),
        (serde_json::from_str("1.89999997e9").unwrap(), Err(TokenError::Expired)),
        (json!(253_402_300_799_u64), Ok(())),
    ] {
        assert_eq!(verify_claims(&with(valid_claims(), "exp", exp.clone())).map(drop), result, "{exp}");
    }
    let token =
        ED25519.sign(&header("EdDSA", &ED25519).to_string(), &with(valid_claims(), "exp", NOW).to_string());
    let strict = Rules { leeway: TimeDelta::zero(), ..rules() };
    assert_eq!(verify_with(&token, &keys(), &strict), Err(TokenError::Expired));
    let caller = verify(&token).unwrap();
    assert_eq!(caller.expires, at(NOW + 30));
}

#[test]
fn the_leeway_applies_to_nbf() {
    for (nbf, result) in [
        (NOW + 31, Err(TokenError::NotYetValid)),
        (NOW + 3_600, Err(TokenError::NotYetValid)),
        (NOW + 30, Ok(())),
        (NOW + 29, Ok(())),
        (0, Ok(())),
    ] {
        assert_eq!(verify_claims(&with(valid_claims(), "nbf", nbf)).map(drop), result, "{nbf}");
    }
}

#[test]
fn a_name_has_up_to_255_characters() {
    for name in ["sub", "customer_id"] {
        assert!(verify_claims(&with(valid_claims(), name, "ü".repeat(255))).is_ok(), "{name}");
    }
}

#[test]
fn without_a_customer_claim_the_token_is_nobodys() {
    assert_eq!(verify_claims(&without(valid_claims(), "customer_id")).unwrap().customer(), None);
    let rules =
        Rules { customer_claim: "https://a.test/customer".into(), scope_claim: "scp".into(), ..rules() };
    let claims = with(valid_claims(), "https://a.test/customer", "customer-2");
    let token = ED25519.sign(&header("EdDSA", &ED25519).to_string(), &claims.to_string());
    let caller = verify_with(&token, &keys(), &rules).unwrap();
    assert_eq!((caller.customer(), &*caller.scopes), (Some("customer-2"), ""));
}

#[test]
fn scopes_are_words_or_an_array() {
    for (scopes, expected) in [
        (json!("a b"), vec!["a", "b"]),
        (json!("  a   b "), vec!["a", "b"]),
        (json!(""), vec![]),
        (json!("a\tb"), vec!["a\tb"]),
        (json!(["a", "b"]), vec!["a", "b"]),
        (json!([]), vec![]),
    ] {
        let caller = verify_claims(&with(valid_claims(), "scope", scopes.clone())).unwrap();
        assert_eq!(&*caller.scopes, expected.join(" "), "{scopes}");
        assert!(
            expected.iter().all(|scope| caller.has_scope(scope)) && !caller.has_scope("orders"),
            "{scopes}"
        );
    }
}
