//! What callers and the log get for a refusal.

use actix_web::ResponseError;
use actix_web::http::header::WWW_AUTHENTICATE;

use super::super::bearer::BearerError;
use super::super::refusal::Refusal;
use super::super::token::{Claim, Part, TokenError};
use super::*;
use crate::overload::OncePerSecond;

fn response(refusal: Refusal) -> (u16, Option<String>, String) {
    let response = refusal.problem().error_response();
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = response.into_body().try_into_bytes().unwrap();
    (status, challenge, String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn a_401_does_not_say_which_check_failed() {
    let checks = [
        Refusal::from(BearerError::Malformed),
        BearerError::TooLong.into(),
        TokenError::Parts.into(),
        TokenError::Base64(Part::Header).into(),
        TokenError::UnknownKey.into(),
        TokenError::Algorithm.into(),
        TokenError::Signature.into(),
        TokenError::Issuer.into(),
        TokenError::Missing(Claim::Subject).into(),
        TokenError::Malformed(Claim::Expiry).into(),
        TokenError::Expired.into(),
        TokenError::NotYetValid.into(),
    ];
    let (status, challenge, without_token) = response(BearerError::Missing.into());
    assert_eq!((status, challenge.as_deref()), (401, Some("Bearer")));
    assert!(without_token.contains("/problems/unauthenticated"), "{without_token}");
    for check in checks {
        let (status, challenge, body) = response(check);
        assert_eq!((status, challenge.as_deref()), (401, Some(r#"Bearer error="invalid_token""#)), "{check}");
        assert_eq!(body, without_token, "{check}");
    }
}

#[test]
fn two_headers_are_a_400_that_names_the_header_and_no_keys_are_a_503() {
    let (status, challenge, body) = response(BearerError::Twice.into());
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, challenge), (400, None));
    assert_eq!(body["type"], "/problems/invalid-parameter");
    assert_eq!(body["errors"][0]["header"], "Authorization");
    let (status, challenge, body) = response(Refusal::NoKeys);
    assert_eq!((status, challenge), (503, None));
    assert!(body.contains("/problems/unavailable"), "{body}");
}

#[test]
fn the_log_has_the_kid_and_the_check_and_not_the_token_once_a_second() {
    let (log, _guard) = Log::of_this_thread();
    let token = token_of(&TestKey::ed25519("the\u{202e}key"), "alice", START);
    Refusal::from(TokenError::Expired).log(&OncePerSecond::new(), None);
    log.enable_lines();
    let line = OncePerSecond::new();
    for _ in 0..100 {
        Refusal::from(TokenError::Expired).log(&line, Some(&token));
    }
    let log = log.text();
    assert!(log.lines().count() <= 2, "{log}");
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "INFO");
    assert_eq!(first["fields"]["kid"], r"the\u{202e}key");
    assert_eq!(first["fields"]["reason"], "it has expired");
    assert_eq!(first["fields"]["times"], 1);
    for part in token.split('.') {
        assert!(!log.contains(part), "{log}");
    }
}
