//! Tokens, keys and the cache together.

use actix_web::http::header::HeaderMap;
use actix_web::test::TestRequest;

use super::super::Authenticator;
use super::super::bearer::BearerError;
use super::super::keys::KeyUnavailable;
use super::super::refusal::Refusal;
use super::super::token::TokenError;
use super::*;
use crate::config::ConfigError;
use crate::http::HttpConfig;

/// The subject of the caller, or why it is refused.
async fn authenticate(process: &Process, headers: &HeaderMap) -> Result<String, Refusal> {
    let verified = process.jwt.authenticate(headers, None).await?;
    Ok(verified.caller.subject().to_owned())
}

async fn call(process: &Process, token: &str) -> Result<String, Refusal> {
    authenticate(process, &bearer(token)).await
}

#[tokio::test]
async fn without_keys_nobody_gets_in_and_the_process_is_not_ready() {
    let key = TestKey::ed25519("key");
    let file = KeyFile::new("");
    let process = Process::start(file.source());
    for headers in [HeaderMap::new(), bearer("nonsense"), bearer(&token_of(&key, "alice", START + 60))] {
        assert_eq!(authenticate(&process, &headers).await, Err(Refusal::NoKeys));
    }
    assert!(process.health.ready().unwrap_err().to_string().contains("keys"));
    assert_eq!(process.metric(r#"orders_auth_refused_total{reason="no_keys"}"#), 3);
    file.write(&document(&[&key]));
    until("ready", || process.health.ready().is_ok()).await;
    assert_eq!(call(&process, &token_of(&key, "alice", START + 60)).await, Ok("alice".to_owned()));
    assert_eq!(authenticate(&process, &HeaderMap::new()).await, Err(BearerError::Missing.into()));
}

#[tokio::test]
async fn a_token_of_a_new_key_is_accepted_at_once() {
    let (old, new) = (TestKey::ed25519("old"), TestKey::ed25519("new"));
    let server = KeyServer::start(Reply::Document(document(&[&old]))).await;
    let process = Process::ready(server.source()).await;
    server.set(Reply::Document(document(&[&old, &new])));
    assert_eq!(call(&process, &token_of(&new, "alice", START + 60)).await, Ok("alice".to_owned()));
    assert_eq!(server.requests(), 2);
    let unknown = token_of(&TestKey::ed25519("unknown"), "alice", START + 60);
    assert_eq!(call(&process, &unknown).await, Err(TokenError::UnknownKey.into()));
    assert_eq!(server.requests(), 2, "too soon");
    assert_eq!(process.metric(r#"orders_auth_refused_total{reason="unknown_key"}"#), 1);
}

#[tokio::test]
async fn a_token_whose_key_cannot_be_fetched_is_not_called_invalid() {
    let key = TestKey::ed25519("key");
    let server = KeyServer::start(Reply::Document(document(&[&key]))).await;
    let process = Process::ready(server.source()).await;
    server.set(Reply::Raw(Vec::new()));
    let new = token_of(&TestKey::ed25519("new"), "alice", START + 60);
    for _ in 0..2 {
        assert_eq!(call(&process, &new).await, Err(KeyUnavailable::FetchFailed.into()));
    }
    assert_eq!(process.metric(r#"orders_auth_refused_total{reason="key_unavailable"}"#), 2);
    assert_eq!(call(&process, &token_of(&key, "alice", START + 60)).await, Ok("alice".to_owned()));
}

#[tokio::test]
async fn a_token_is_verified_once_and_again_for_other_keys() {
    let (old, new) = (TestKey::ed25519("old"), TestKey::ed25519("new"));
    let server = KeyServer::start(Reply::Document(document(&[&old]))).await;
    let process = Process::ready(server.source()).await;
    let token = token_of(&old, "alice", START + 60);
    for _ in 0..10 {
        assert_eq!(call(&process, &token).await, Ok("alice".to_owned()));
    }
    assert_eq!(process.verifications(), 1);
    assert_eq!(call(&process, &token_of(&old, "bob", START + 60)).await, Ok("bob".to_owned()));
    assert_eq!((process.verifications(), process.jwt.cache_len()), (2, 2));

    // The same `kid` with another key.
    let replaced = TestKey::ed25519("old");
    server.set(Reply::Document(document(&[&replaced, &new])));
    assert_eq!(call(&process, &token_of(&new, "carol", START + 60)).await, Ok("carol".to_owned()));
    assert_eq!((process.verifications(), process.jwt.cache_len()), (3, 1), "the others are dropped");
    assert_eq!(call(&process, &token).await, Err(TokenError::Signature.into()));
    assert_eq!(process.verifications(), 4);
}

#[tokio::test]
async fn a_refused_token_is_not_cached() {
    let key = TestKey::ed25519("key");
    let process = Process::ready(KeyFile::new(&document(&[&key])).source()).await;
    let forged = token_of(&TestKey::ed25519("key"), "alice", START + 60);
    for count in [1, 2] {
        assert_eq!(call(&process, &forged).await, Err(TokenError::Signature.into()));
        assert_eq!((process.verifications(), process.jwt.cache_len()), (count, 0));
    }
    assert_eq!(process.metric(r#"orders_auth_refused_total{reason="signature"}"#), 2);
}

#[tokio::test]
async fn a_token_counts_until_the_end_of_the_leeway_and_is_verified_once() {
    let key = TestKey::ed25519("key");
    let process = Process::ready(KeyFile::new(&document(&[&key])).source()).await;
    let token = token_of(&key, "alice", START + 60);
    for seconds in [0, 59, 60, 89] {
        process.set_clock(START + seconds);
        assert_eq!(call(&process, &token).await, Ok("alice".to_owned()), "after {seconds} s");
        assert_eq!(process.verifications(), 1, "after {seconds} s");
    }
    process.set_clock(START + 90);
    assert_eq!(call(&process, &token).await, Err(TokenError::Expired.into()));
    // Otherwise one that has just expired would cost a signature for each request.
    let late = token_of(&key, "bob", START + 80);
    for _ in 0..2 {
        assert_eq!(call(&process, &late).await, Ok("bob".to_owned()));
        assert_eq!(process.verifications(), 3, "one for each token, and one after the leeway");
    }
}

#[tokio::test(start_paused = true)]
async fn auth_off_is_logged_at_start_and_every_ten_minutes() {
    const MINUTE: Duration = Duration::from_mins(1);
    let (log, _guard) = Log::of_this_thread();
    let start = || {
        let vars = |vars: &[(&str, &str)]| -> Vars {
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let config = AuthConfig::from_vars(&vars(&[("AUTH", "off")])).unwrap();
        let http = HttpConfig::from_vars(&vars(&[])).unwrap();
        let (_, task) =
            Authenticator::start(&config, &http, &health(), &Registry::new(&[]).unwrap()).unwrap();
        AbortOnDropHandle::new(tokio::spawn(task))
    };
    let first_use = start();
    tokio::time::sleep(MINUTE).await;
    drop(first_use);
    log.enable_lines();

    let _task = start();
    for (wait, lines) in [(MINUTE, 1), (8 * MINUTE, 1), (2 * MINUTE, 2), (8 * MINUTE, 2), (2 * MINUTE, 3)] {
        tokio::time::sleep(wait).await;
        let log = log.text();
        assert_eq!(log.matches("AUTH=off").count(), lines, "{log}");
        assert_eq!(log.matches(r#""level":"WARN""#).count(), lines, "{log}");
    }
}

#[tokio::test]
async fn auth_off_needs_a_loopback_address() {
    let start = |auth: &[(&str, &str)], address: &str| {
        let vars = |vars: &[(&str, &str)]| -> Vars {
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let config = AuthConfig::from_vars(&vars(auth)).unwrap();
        let http = HttpConfig::from_vars(&vars(&[("BIND_ADDRESS", address)])).unwrap();
        let registry = Registry::new(&[]).unwrap();
        let started = Authenticator::start(&config, &http, &health(), &registry)?;
        assert_eq!(metric::<u64>(&registry, r#"orders_auth_refused_total{reason="not_local"}"#), 0);
        Ok::<_, ConfigError>((started.0, metric::<u64>(&registry, "orders_auth_enabled")))
    };
    let off = [("AUTH", "off")];
    for address in ["127.0.0.1", "127.8.8.8", "::1"] {
        let (authenticator, enabled) = start(&off, address).unwrap();
        let Authenticator::Off(local) = authenticator else { panic!("{address}") };
        assert_eq!(enabled, 0);
        assert!(local.check(&TestRequest::default().to_srv_request()).is_ok());
    }
    for address in ["0.0.0.0", "::", "192.168.0.1", "2001:db8::1"] {
        let error = start(&off, address).err().unwrap().to_string();
        assert!(error.contains("AUTH") && error.contains(&format!("BIND_ADDRESS={address}")), "{error}");
    }
    let jwt = [
        ("AUTH", "jwt"),
        ("AUTH_JWKS_FILE", "/nowhere"),
        ("AUTH_ISSUER", "https://issuer.test"),
        ("AUTH_AUDIENCE", "orders"),
    ];
    let (authenticator, enabled) = start(&jwt, "0.0.0.0").unwrap();
    assert!(matches!(authenticator, Authenticator::Jwt(_)));
    assert_eq!(enabled, 1);
}
