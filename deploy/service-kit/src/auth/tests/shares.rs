//! What is left for others when one caller or one address sends too much.

use std::net::IpAddr;

use futures_util::FutureExt;

use super::super::metrics::Reason;
use super::super::refusal::Refusal;
use super::*;

/// A second restores one request, so that time does not matter.
const BURST: usize = 50;

fn shares() -> SharesConfig {
    let vars = [("RATE_LIMIT_PER_S", "1"), ("RATE_LIMIT_BURST", "50")];
    let vars: Vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    SharesConfig::from_vars(&vars).unwrap()
}

async fn process(key: &TestKey) -> Process {
    Process::ready_with(KeyFile::new(&document(&[key])).source(), &shares()).await
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn call(process: &Process, token: &str, from: &str) -> Result<(), Reason> {
    let verified = process.jwt.authenticate(&bearer(token), Some(ip(from))).await.map_err(Refusal::reason)?;
    verified.shares.admit(verified.subject).map_err(|error| Refusal::from(error).reason())
}

/// How many of these calls are beyond a share.
async fn refused(process: &Process, token: impl Fn(usize) -> String, calls: usize, from: &str) -> usize {
    let mut refused = 0;
    for number in 0..calls {
        refused += usize::from(call(process, &token(number), from).await == Err(Reason::TooManyRequests));
    }
    refused
}

#[tokio::test]
async fn forged_tokens_cost_a_bounded_number_of_signature_checks_and_lock_out_nobody_who_is_known() {
    let (key, forger) = (TestKey::ed25519("key"), TestKey::ed25519("key"));
    let process = process(&key).await;
    let known = token_of(&key, "alice", START + 60);
    assert_eq!(call(&process, &known, "192.0.2.1").await, Ok(()));
    let wrong = |number: usize| token_of(&forger, &format!("{number}"), START + 60);
    let over = refused(&process, wrong, 10 * BURST, "192.0.2.1").await;
    assert!(over >= 9 * BURST - 10, "{over}");
    let verifications = process.verifications();
    assert!(verifications <= 70, "{verifications} signatures were checked");

    assert_eq!(call(&process, &known, "192.0.2.1").await, Ok(()), "a known token from there");
    let new = token_of(&key, "bob", START + 60);
    assert_eq!(call(&process, &new, "192.0.2.2").await, Ok(()), "a new token from elsewhere");
    assert_eq!(call(&process, &new, "192.0.2.1").await, Ok(()), "and then from there");
    let counted = process.metric(r#"orders_rate_limited_total{reason="signatures"}"#);
    assert!(counted > 400, "{counted}");
}

#[tokio::test]
async fn requests_without_a_token_get_429_and_leave_new_tokens_of_their_address_alone() {
    let key = TestKey::ed25519("key");
    let process = process(&key).await;
    let nonsense = |number| format!("nonsense.{number}");
    let over = refused(&process, nonsense, 3 * BURST, "2001:db8::1").await;
    assert!(over >= 2 * BURST - 10, "{over}");
    let same_network = call(&process, "nonsense", "2001:db8::2").await;
    assert_eq!(same_network, Err(Reason::TooManyRequests));
    assert_eq!(call(&process, "nonsense", "2001:db8:0:1::1").await, Err(Reason::Malformed));
    let new = token_of(&key, "alice", START + 60);
    assert_eq!(call(&process, &new, "2001:db8::1").await, Ok(()));
}

#[tokio::test]
async fn a_subject_has_one_share_for_all_of_its_tokens_and_takes_nothing_of_others() {
    let key = TestKey::ed25519("key");
    let process = process(&key).await;
    let customer = |subject: &str, exp: i64| {
        let header = json!({"alg": "EdDSA", "kid": key.kid});
        let claims = json!({
            "iss": "https://issuer.test", "aud": "orders", "sub": subject, "exp": exp, "customer_id": subject,
        });
        key.sign(&header.to_string(), &claims.to_string())
    };
    let tokens: Vec<_> = (60..70).map(|exp| customer("alice", START + exp)).collect();
    let over = refused(&process, |number| tokens[number % 10].clone(), 3 * BURST, "192.0.2.1").await;
    assert!((2 * BURST - 10..=2 * BURST).contains(&over), "{over}");
    let bob = customer("bob", START + 60);
    assert_eq!(refused(&process, |_| bob.clone(), BURST, "192.0.2.1").await, 0);
    // Without a customer claim, the same name is a service with a share of its own.
    let service = token_of(&key, "alice", START + 60);
    assert_eq!(refused(&process, |_| service.clone(), 20 * BURST, "192.0.2.1").await, 0);
    assert!(process.metric(r#"orders_rate_limited_total{reason="subject"}"#) > 80);
    assert_eq!(process.metric(r#"orders_rate_limited_total{reason="service"}"#), 0);
}

#[tokio::test]
async fn streams_and_waits_have_shares_of_their_own_for_customers_and_services_and_are_given_back() {
    let vars = [("STREAMS", "1"), ("WAITS", "2"), ("SERVICE_STREAMS", "3"), ("SERVICE_WAITS", "4")];
    let vars: Vars = vars.map(|(name, value)| (format!("RATE_LIMIT_{name}"), value.to_owned())).into();
    let key = TestKey::ed25519("key");
    let source = KeyFile::new(&document(&[&key])).source();
    let process = Process::start_with(source, &SharesConfig::from_vars(&vars).unwrap());
    let shares = process.jwt.shares();
    let mut held = Vec::new();
    for (is_service, streams, waits) in [(false, 1, 2), (true, 3, 4)] {
        let subject = shares.subject("alice", is_service);
        let begun: Vec<_> = (0..10).filter_map(|_| shares.stream(subject).ok()).collect();
        let waiting: Vec<_> = (0..10).filter_map(|_| shares.wait(subject).ok()).collect();
        assert_eq!((begun.len(), waiting.len()), (streams, waits), "of a service: {is_service}");
        held.push((subject, begun, waiting));
    }
    for (subject, mut begun, mut waiting) in held {
        assert!(shares.stream(subject).is_err() && shares.wait(subject).is_err());
        drop((begun.pop(), waiting.pop()));
        begun.extend(shares.stream(subject));
        waiting.extend(shares.wait(subject));
        assert!(
            shares.stream(subject).is_err() && shares.wait(subject).is_err(),
            "one of each was given back"
        );
    }
    for (reason, refused) in [("streams", 20), ("waits", 18)] {
        let metric = format!("orders_rate_limited_total{{reason=\"{reason}\"}}");
        assert_eq!(process.metric(&metric), refused, "{reason}");
    }
}

#[tokio::test]
async fn one_address_leaves_others_their_waits_for_a_new_key() {
    let (old, new) = (TestKey::ed25519("old"), TestKey::ed25519("new"));
    let server = KeyServer::start(Reply::Document(document(&[&old]))).await;
    let process = Process::start_with(server.source(), &shares());
    until("ready", || process.health.ready().is_ok()).await;
    server.set(Reply::Held(document(&[&old, &new])));

    // More than may wait in all.
    let unknown = token_of(&TestKey::ed25519("unknown"), "mallory", START + 60);
    let mut flood: Vec<_> = (0..2_000).map(|_| Box::pin(call(&process, &unknown, "192.0.2.1"))).collect();
    let over = flood.iter_mut().filter_map(FutureExt::now_or_never);
    assert_eq!(over.filter(|outcome| *outcome == Err(Reason::TooManyRequests)).count(), 2_000 - BURST);
    let token = token_of(&new, "alice", START + 60);
    let mut waiting = Box::pin(call(&process, &token, "192.0.2.2"));
    assert_eq!((&mut waiting).now_or_never(), None, "it waits for the fetch");
    server.release();
    assert_eq!(waiting.await, Ok(()));
    assert_eq!(process.metric(r#"orders_rate_limited_total{reason="keys"}"#), 2_000 - 50);

    drop(flood);
    assert_eq!(call(&process, &token, "192.0.2.1").await, Ok(()), "nothing is held for ever");
}

#[tokio::test]
async fn a_hundred_thousand_random_tokens_from_as_many_addresses_leave_bounded_state() {
    let key = TestKey::ed25519("key");
    let process = Process::ready(KeyFile::new(&document(&[&key])).source()).await;
    for number in 0..100_000_u32 {
        let from = IpAddr::V4(number.wrapping_mul(0x9E37_79B9).into());
        let token = format!("e30.{number}.AA");
        let refusal = process.jwt.authenticate(&bearer(&token), Some(from)).await.err();
        assert!(refusal.is_some());
    }
    assert!(process.jwt.cache_len() == 0 && process.verifications() == 0);
    let states = process.jwt.shares().states();
    assert!(states <= 65_536, "{states}");
}
