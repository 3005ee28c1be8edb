//! What callers and the log get for a refusal.

use actix_web::ResponseError;
use actix_web::http::header::WWW_AUTHENTICATE;

use super::super::access::{Right, grant};
use super::super::bearer::BearerError;
use super::super::keys::KeyUnavailable;
use super::super::refusal::{Lines, Refusal};
use super::super::token::{Claim, Part, TokenError};
use super::*;

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
fn two_headers_are_a_400_that_names_the_header_and_without_the_key_it_is_a_503() {
    let (status, challenge, body) = response(BearerError::Twice.into());
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, challenge), (400, None));
    assert_eq!(body["type"], "/problems/invalid-parameter");
    assert_eq!(body["errors"][0]["header"], "Authorization");
    let unavailable = [KeyUnavailable::TooManyWait, KeyUnavailable::TimedOut, KeyUnavailable::FetchFailed];
    for refusal in unavailable.map(Refusal::from).into_iter().chain([Refusal::NoKeys]) {
        let (status, challenge, body) = response(refusal);
        assert_eq!((status, challenge), (503, None), "{refusal}");
        assert!(body.contains("/problems/unavailable"), "{refusal}: {body}");
    }
}

#[tokio::test]
async fn what_a_caller_may_not_do_is_counted_and_logged_with_subject_and_scopes_once_a_second() {
    let (log, _guard) = Log::of_this_thread();
    let key = TestKey::ed25519("key");
    let (any, own) = (Right::Any("read:any"), Right::Own("read"));
    let start = async || Process::ready(KeyFile::new(&document(&[&key])).source()).await;
    let grant = async |process: &Process, subject: &str| {
        let claims = json!({
            "iss": "https://issuer.test", "aud": "orders", "sub": subject, "exp": START + 60, "scope": "read",
            "customer_id": "alice",
        });
        let token = key.sign(&json!({"alg": "EdDSA", "kid": "key"}).to_string(), &claims.to_string());
        let verified = process.jwt.authenticate(&bearer(&token), None).await.unwrap();
        grant(&verified, &[Right::Own("read")]).unwrap()
    };
    grant(&start().await, "first").await.require("bob", &[any]).unwrap_err();
    log.enable_lines();

    let process = start().await;
    let subject = format!("app\u{202e}{}", "x".repeat(251));
    let loud = grant(&process, &subject).await;
    assert!(loud.require("alice", &[any]).is_ok());
    for _ in 0..100 {
        let response = loud.require("bob", &[any, own]).unwrap_err().error_response();
        assert_eq!(response.status(), 403);
        let challenge = response.headers().get(WWW_AUTHENTICATE).unwrap();
        assert_eq!(challenge, r#"Bearer error="insufficient_scope", scope="read:any read""#);
    }
    assert_eq!(process.metric(r#"orders_auth_refused_total{reason="insufficient_scope"}"#), 100);
    for other in 0..20 {
        grant(&process, &format!("other-{other}")).await.require("bob", &[any]).unwrap_err();
    }
    let log = log.text();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("a caller is not allowed")).collect();
    let others = lines.iter().filter(|line| line.contains("other-")).count();
    assert!(others >= 10, "the loud one hides nobody, but some share a limiter: {log}");
    assert!((1..=2).contains(&(lines.len() - others)), "{log}");
    let first: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(first["level"], "INFO");
    assert_eq!(first["fields"]["subject"], format!(r"app\u{{202e}}{}", "x".repeat(251)));
    assert_eq!(first["fields"]["needed"], "read:any read");
    assert_eq!(first["fields"]["times"], 1);
}

#[test]
fn the_log_has_the_kid_and_the_check_and_not_the_token_once_a_second_for_each_reason() {
    let (log, _guard) = Log::of_this_thread();
    let token = token_of(&TestKey::ed25519("the\u{202e}key"), "alice", START);
    Refusal::from(TokenError::Expired).log(&Lines::new(), None);
    log.enable_lines();
    let lines = Lines::new();
    for _ in 0..100 {
        Refusal::from(TokenError::Expired).log(&lines, Some(&token));
        Refusal::from(BearerError::Missing).log(&lines, None);
    }
    Refusal::from(TokenError::Signature).log(&lines, Some(&token));
    let log = log.text();
    for (reason, most) in
        [("has expired", 2), ("no `Authorization` header", 2), ("signature is not valid", 1)]
    {
        let count = log.lines().filter(|line| line.contains(reason)).count();
        assert!((1..=most).contains(&count), "{reason}: {log}");
    }
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "INFO");
    assert_eq!(first["fields"]["kid"], r"the\u{202e}key");
    assert_eq!(first["fields"]["reason"], "it has expired");
    assert_eq!(first["fields"]["times"], 1);
    for part in token.split('.') {
        assert!(!log.contains(part), "{log}");
    }
}
