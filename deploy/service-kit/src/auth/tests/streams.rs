//! How long the grant of a long response counts.

use tokio::time::timeout;

use super::super::access::{Right, grant};
use super::*;

const SOON: Duration = Duration::from_secs(10);

/// Long enough for a task to start.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Longer than the time between two reads of the clock.
const A_WHILE: Duration = Duration::from_millis(1_500);

async fn open(process: &Process, token: &str) -> impl Future<Output = ()> + Send + 'static + use<> {
    let verified = process.jwt.authenticate(&bearer(token)).await.unwrap();
    grant(&verified, &[Right::Any("read")]).unwrap().ended()
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires_also_when_the_clock_is_set() {
    let key = TestKey::ed25519("key");
    let process = Process::ready(KeyFile::new(&document(&[&key])).source()).await;
    let mut stream = tokio::spawn(open(&process, &token_of(&key, "alice", START + 3_600)).await);
    assert!(timeout(A_MOMENT, &mut stream).await.is_err(), "still valid");
    process.set_clock(START + 3_629);
    assert!(timeout(A_WHILE, &mut stream).await.is_err(), "within the leeway");
    process.set_clock(START + 3_630);
    timeout(SOON, stream).await.expect("the stream ends").unwrap();
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_replaced_and_not_when_another_key_comes_or_goes() {
    let (key, second, third) =
        (TestKey::ed25519("key"), TestKey::ed25519("second"), TestKey::ed25519("third"));
    let server = KeyServer::start(Reply::Document(document(&[&key, &second]))).await;
    let process = Process::ready(server.source()).await;
    let mut stream = tokio::spawn(open(&process, &token_of(&key, "alice", START + 3_600)).await);
    let other = tokio::spawn(open(&process, &token_of(&second, "bob", START + 3_600)).await);
    server.set(Reply::Document(document(&[&key, &third])));
    process.jwt.authenticate(&bearer(&token_of(&third, "carol", START + 60))).await.unwrap();
    timeout(SOON, other).await.expect("the stream ends").unwrap();
    assert!(timeout(A_WHILE, &mut stream).await.is_err(), "its key is still there");
    stream.abort();
}

#[tokio::test]
async fn a_stream_goes_on_while_its_key_has_the_algorithm_of_its_token() {
    let (loses, gains, third) = (TestKey::rsa("loses"), TestKey::rsa("gains"), TestKey::ed25519("third"));
    let entry = |key: &TestKey, alg: &str| {
        let mut jwk = key.jwk();
        jwk["alg"] = alg.into();
        jwk
    };
    let reply = |keys: &[Value]| Reply::Document(json!({ "keys": keys }).to_string());
    let [rs256, ps256] = ["RS256", "PS256"].map(|alg| entry(&loses, alg));
    let server = KeyServer::start(reply(&[rs256.clone(), ps256, entry(&gains, "RS256")])).await;
    let process = Process::ready(server.source()).await;
    let token = |key: &TestKey, alg: &str| {
        let claims = json!({
            "iss": "https://issuer.test", "aud": "orders", "sub": alg, "exp": START + 3_600, "scope": "read",
        });
        key.sign(&json!({"alg": alg, "kid": key.kid}).to_string(), &claims.to_string())
    };
    let mut stays = tokio::spawn(open(&process, &token(&loses, "RS256")).await);
    let ends = tokio::spawn(open(&process, &token(&loses, "PS256")).await);
    let mut stays_too = tokio::spawn(open(&process, &token(&gains, "RS256")).await);
    server.set(reply(&[rs256, entry(&gains, "RS256"), entry(&gains, "PS256"), third.jwk()]));
    process.jwt.authenticate(&bearer(&token_of(&third, "carol", START + 60))).await.unwrap();
    timeout(SOON, ends).await.expect("the stream ends").unwrap();
    assert!(timeout(A_WHILE, &mut stays).await.is_err(), "its algorithm is still there");
    assert!(timeout(A_WHILE, &mut stays_too).await.is_err(), "the key has one algorithm more");
    stays.abort();
    stays_too.abort();
}

#[tokio::test]
async fn with_auth_off_a_stream_never_ends() {
    let grant = super::super::Grant::unlimited();
    assert!(timeout(A_MOMENT, grant.ended()).await.is_err());
    assert!(grant.covers("anybody") && grant.customer().is_none() && grant.subject().is_none());
}
