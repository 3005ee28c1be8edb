//! Servers that are not the one of the URL.

use std::path::Path;

use anyhow::{Context, Result};
use testkit::certificates::{Authority, Identity, Validity};
use testkit::recording_proxy::RecordingProxy;
use testkit::wait;

use crate::scene::{HOST, LIMIT, PASSWORD, Scene, refusal, url_at};

/// The length of an encrypted alert, which ends a handshake: two bytes, their type, and the tag.
const ALERT: usize = 2 + 1 + 16;
const REQUEST: usize = 8;

/// Whether these bytes are the request for TLS and a handshake, after which nothing was sent but an alert.
fn is_handshake_only(sent: &[u8]) -> bool {
    let mut rest = sent.get(REQUEST..).unwrap_or_default();
    while let Some(([kind, _, _, high, low], body)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        // Change of cipher, alert and handshake. Encrypted records all have the type of data.
        if !matches!(kind, 20..=22) && (*kind != 23 || length > ALERT) {
            return false;
        }
        rest = body.get(length..).unwrap_or_default();
    }
    rest.is_empty()
}

/// Waits until the server of the scene is refused with these words; then looks at what a client sends.
async fn check(scene: &Scene, host: &str, ca: &Path, words: &str) -> Result<()> {
    let url = url_at(scene.server.port(), host, "app", ca);
    wait::until(words, LIMIT, async || {
        let refusal = refusal(&url).await;
        if refusal.as_ref().is_some_and(|refusal| refusal.contains(words)) { Ok(()) } else { Err(refusal) }
    })
    .await?;
    let proxy = RecordingProxy::start(scene.server.port()).await?;
    let refusal = refusal(&url_at(proxy.port(), host, "app", ca)).await.context("it connected")?;
    assert!(refusal.contains(words) && !refusal.contains(PASSWORD), "{refusal}");
    let sent = proxy.sent();
    assert!(sent.len() >= REQUEST && is_handshake_only(&sent), "{words}: {sent:?}");
    assert!(!proxy.has_seen(PASSWORD) && !proxy.has_seen("app\0"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_the_one_of_the_url_is_refused_in_its_own_words_and_gets_no_password()
-> Result<()> {
    let Some(scene) = Scene::start().await? else { return Ok(()) };
    let ca = scene.file("ca.pem");
    let another = scene.write("another.pem", &Authority::new("another CA")?.certificate())?;
    check(&scene, HOST, &another, "certificate is not from a CA of sslrootcert").await?;
    let words = format!("certificate is for {HOST}, not for other.test, the host of the URL");
    check(&scene, "other.test", &ca, &words).await?;
    let words = format!("certificate is for {HOST}, not for 127.0.0.1, the host of the URL");
    check(&scene, "127.0.0.1", &ca, &words).await?;
    let with = async |identity: Identity, words: &str| {
        scene.server.renew(&identity).await?;
        check(&scene, HOST, &ca, words).await
    };
    let past = scene.ca.issue(&[HOST], Validity::Past)?;
    with(past, "certificate has expired: it was valid until 2021-01-01 00:00:00 UTC").await?;
    let future = scene.ca.issue(&[HOST], Validity::Future)?;
    with(future, "is not valid yet, by the clock of this machine: it is valid from 2999-01-01").await?;
    with(scene.ca.issue(&[], Validity::Now)?, "certificate is for no host, not for db.test").await?;
    with(Authority::new("a third")?.issue(&[HOST], Validity::Now)?, "is not from a CA of sslrootcert")
        .await?;
    scene.server.offer_tls(false).await?;
    check(&scene, HOST, &ca, "the server has no TLS (ssl=off), or something on the way refuses it").await
}

#[tokio::test]
async fn a_proxy_that_answers_n_gets_no_password() -> Result<()> {
    let Some(scene) = Scene::start().await? else { return Ok(()) };
    let proxy = RecordingProxy::refusing_tls(scene.server.port()).await?;
    for mode in ["verify-full", "require"] {
        let url = url_at(proxy.port(), HOST, "app", &scene.file("ca.pem"));
        let refusal = refusal(&url.replace("verify-full", mode)).await.context("it connected")?;
        assert!(refusal.contains("the server has no TLS (ssl=off), or something on the way"), "{refusal}");
    }
    assert_eq!(proxy.sent().len(), 2 * REQUEST, "more than two requests for TLS");
    Ok(())
}

#[tokio::test]
async fn the_proxy_sees_a_password_that_is_sent_in_clear() -> Result<()> {
    let Some(scene) = Scene::start().await? else { return Ok(()) };
    let proxy = RecordingProxy::refusing_tls(scene.server.port()).await?;
    let url =
        |mode: &str| format!("postgres://app:{PASSWORD}@127.0.0.1:{}/postgres?sslmode={mode}", proxy.port());
    assert_eq!(refusal(&url("disable")).await, None);
    assert!(proxy.has_seen(PASSWORD));
    let through = RecordingProxy::start(scene.server.port()).await?;
    let url = url_at(through.port(), HOST, "app", &scene.file("ca.pem"));
    assert_eq!(refusal(&url).await, None);
    assert!(!through.has_seen(PASSWORD) && !is_handshake_only(&through.sent()));
    Ok(())
}
