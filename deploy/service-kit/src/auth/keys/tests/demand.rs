//! Fetches for unknown keys.

use tokio::time::{Instant, advance};

use super::super::demand::{Demand, ON_DEMAND_PAUSE};
use super::*;
use crate::auth::tests::{KeyServer, Reply, document, until};

#[tokio::test]
async fn any_number_of_tokens_with_unknown_keys_causes_one_fetch() {
    let (old, new) = (TestKey::ed25519("old"), TestKey::ed25519("new"));
    let server = KeyServer::start(Reply::Document(document(&[&old]))).await;
    let kept = Kept::start(server.source());
    until("ready", || kept.is_ready()).await;
    assert_eq!(server.requests(), 1);

    server.set(Reply::Held(document(&[&old, &new])));
    let ask = |kid: String| {
        let keys = Arc::clone(&kept.keys);
        tokio::spawn(async move { keys.fetch_for(&kid).await.map(|keys| keys.keys.find(&kid).is_some()) })
    };
    let known = (0..100).map(|_| ask("new".to_owned()));
    let unknown = (0..100).map(|number| ask(format!("unknown-{number}")));
    let asked: Vec<_> = known.chain(unknown).collect();
    until("all wait", || kept.keys.waiting.available_permits() == WAITING_MAX - 200).await;
    until("one asks", || server.requests() == 2).await;
    server.release();
    let answers = futures_util::future::join_all(asked).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert!(answers[..100].iter().all(|found| *found == Ok(true)), "who names the new key is not refused");
    assert!(answers[100..].iter().all(|found| *found == Ok(false)));

    server.set(Reply::Document(document(&[&new])));
    assert!(kept.keys.fetch_for("unknown").await.unwrap().keys.find("unknown").is_none());
    assert_eq!(server.requests(), 2, "too soon for another fetch");
    assert!(kept.has(&old));
}

#[tokio::test]
async fn while_the_fetch_fails_nobody_learns_that_a_key_is_unknown() {
    let key = TestKey::ed25519("key");
    let server = KeyServer::start(Reply::Document(document(&[&key]))).await;
    let kept = Kept::start(server.source());
    until("ready", || kept.is_ready()).await;
    server.set(Reply::Raw(Vec::new()));
    for cause in ["the fetch fails", "it has failed, and it is too soon for another one"] {
        assert_eq!(kept.keys.fetch_for("unknown").await, Err(KeyUnavailable::FetchFailed), "{cause}");
        assert_eq!(server.requests(), 2);
    }
    assert!(kept.keys.fetch_for("key").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_only_for_a_while_and_not_in_a_long_queue() {
    let keys = Keys::new();
    let start = Instant::now();
    assert_eq!(keys.fetch_for("unknown").await, Err(KeyUnavailable::TimedOut), "nobody fetches");
    assert!((WAIT_LIMIT..WAIT_LIMIT * 2).contains(&start.elapsed()));

    let keys = Keys::new();
    let _waiting = keys.waiting.acquire_many(u32::try_from(WAITING_MAX).unwrap()).await.unwrap();
    let start = Instant::now();
    let refused = tokio::time::timeout(WAIT_LIMIT, keys.fetch_for("unknown")).await;
    assert_eq!(refused, Ok(Err(KeyUnavailable::TooManyWait)));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_is_asked_for_at_most_once_in_thirty_seconds_and_a_running_one_is_joined() {
    let demand = Demand::default();
    demand.begin();
    let mut periodic = demand.join().expect("joins the one that runs");
    demand.end(false);
    assert!(periodic.has_changed().unwrap());
    periodic.mark_unchanged();

    let asked = demand.join().expect("asks for one");
    demand.wanted().await;
    demand.begin();
    demand.end(false);
    assert!(asked.has_changed().unwrap());
    assert!(demand.join().is_none());
    advance(ON_DEMAND_PAUSE.saturating_sub(Duration::from_millis(1))).await;
    assert!(demand.join().is_none());
    advance(Duration::from_millis(1)).await;
    assert!(demand.join().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_began_anyway_serves_what_was_asked_for() {
    let demand = Demand::default();
    assert!(demand.join().is_some());
    demand.begin();
    demand.end(false);
    let wanted = tokio::time::timeout(Duration::from_secs(1), demand.wanted()).await;
    assert!(wanted.is_err(), "no second fetch");
}
