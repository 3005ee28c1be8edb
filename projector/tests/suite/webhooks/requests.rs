//! One request: where it may go, and its limits.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::webhooks::client::{Lookup, Reply, SendError, WebhookClient};
use projector::webhooks::connect;
use projector::webhooks::message::{Content, Message};
use projector::webhooks::signature::Secret;
use url::Url;

use super::receiver::{OK, Reaction, Receiver};
use super::support::shared;

pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn message(secrets: &[Secret]) -> Result<Message> {
    let content = Content { kind: "order_paid", occurred_at: DateTime::default(), payload: "{\"a\": 1}" };
    Ok(Message::new("the id".to_owned(), content, secrets, Utc::now())?)
}

async fn send(client: &WebhookClient, url: &str) -> Result<Result<Reply, SendError>> {
    Ok(client.send(&Url::parse(url)?, message(&[])?).await.0)
}

/// Resolves every name to these addresses in turn.
struct Names {
    addresses: Vec<Vec<IpAddr>>,
    calls: AtomicUsize,
}

impl Lookup for Names {
    fn lookup(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let found = self.addresses.iter().cycle().nth(call).cloned().unwrap_or_default();
        async move { Ok(found) }.boxed()
    }
}

fn resolving_to(addresses: &[&[&str]], allow_private: bool) -> Result<WebhookClient> {
    let parse = |addresses: &&[&str]| addresses.iter().map(|address| Ok(address.parse()?)).collect();
    let addresses: Vec<Vec<IpAddr>> = addresses.iter().map(parse).collect::<Result<_>>()?;
    let names: Arc<dyn Lookup> = Arc::new(Names { addresses, calls: AtomicUsize::new(0) });
    Ok(WebhookClient::with_lookup(TIMEOUT, 1, allow_private, &names, &connect::system_tls()))
}

fn is_refused(sent: &Result<Reply, SendError>) -> bool {
    matches!(sent, Err(SendError::AddressRefused(_)))
}

#[tokio::test]
async fn a_message_has_the_headers_of_the_specification_and_both_secrets_verify_it() -> Result<()> {
    let receiver = Receiver::start()?;
    let client = WebhookClient::new(TIMEOUT, 1, true);
    let secrets = [Secret::generate()?, Secret::generate()?];
    let (reply, _) = client.send(&Url::parse(&receiver.url())?, message(&secrets)?).await;
    assert_eq!(reply?.status, 200);
    let all = receiver.received();
    let message = &all[0];
    assert_eq!((message.id(), message.header("content-type")), ("the id", "application/json"));
    assert!(message.header("user-agent").starts_with("orders-webhooks/"));
    for secret in &secrets {
        message.verify(&secret.text())?;
    }
    assert!(message.verify(&Secret::generate()?.text()).is_err());
    assert_eq!(
        message.body,
        r#"{"type":"order_paid","timestamp":"1970-01-01T00:00:00.000000Z","data":{"a": 1}}"#
    );
    Ok(())
}

#[tokio::test]
async fn no_private_address_is_connected_to_whether_named_or_resolved() -> Result<()> {
    let receiver = Receiver::start()?;
    let client = WebhookClient::new(TIMEOUT, 1, false);
    let port = receiver.port();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]", "localhost", "2130706433"] {
        let sent = send(&client, &format!("https://{host}:{port}/")).await?;
        assert!(is_refused(&sent), "{host}: {sent:?}");
    }
    let plain = send(&client, &receiver.url()).await?;
    assert!(matches!(plain, Err(SendError::PlainRefused)), "{plain:?}");
    assert!(receiver.received().is_empty());
    Ok(())
}

#[tokio::test]
async fn each_connection_resolves_the_name_again_and_is_checked() -> Result<()> {
    let receiver = Receiver::start_with(|_| Reaction::Close)?;
    let url = format!("http://hooks.example:{}/", receiver.port());
    // First a private address, which is allowed here, then one of a cloud's credentials.
    let client = resolving_to(&[&["127.0.0.1"], &["169.254.169.254"], &["8.8.8.8"]], true)?;
    let first = send(&client, &url).await?;
    assert!(matches!(first, Err(SendError::Failed(_))), "{first:?}");
    for _ in 0..2 {
        let sent = send(&client, &url).await?;
        assert!(is_refused(&sent), "{sent:?}");
    }
    assert_eq!(receiver.received().len(), 1);

    // Among several addresses, only those that are allowed are tried.
    let client = resolving_to(&[&["169.254.169.254", "127.0.0.1"]], true)?;
    receiver.react(|_| OK);
    assert_eq!(send(&client, &url).await??.status, 200);
    let client = resolving_to(&[&["127.0.0.1", "10.0.0.1"]], false)?;
    assert!(is_refused(&send(&client, &url.replace("http:", "https:")).await?));
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_not_followed() -> Result<()> {
    let elsewhere = Receiver::start()?;
    let url = elsewhere.url();
    let receiver = Receiver::start_with(move |_| Reaction::Redirect(url.clone()))?;
    let reply = send(&WebhookClient::new(TIMEOUT, 1, true), &receiver.url()).await??;
    assert_eq!((reply.status, reply.is_success()), (307, false));
    assert!(elsewhere.received().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_does_not_respond_is_given_up_in_time() -> Result<()> {
    let receiver = Receiver::start_with(|_| Reaction::Hang)?;
    let start = Instant::now();
    let client = WebhookClient::new(Duration::from_millis(100), 1, true);
    let sent = send(&client, &receiver.url()).await?;
    assert!(matches!(sent, Err(SendError::Timeout(_))), "{sent:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    Ok(())
}

#[tokio::test]
async fn a_long_body_is_not_read_to_its_end() -> Result<()> {
    let receiver = Receiver::start_with(|_| Reaction::Body(256 << 20))?;
    let client = WebhookClient::new(Duration::from_mins(1), 1, true);
    let start = Instant::now();
    assert!(send(&client, &receiver.url()).await??.is_success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn connections_are_kept_while_bodies_are_short() -> Result<()> {
    let receiver = Receiver::start_with(|_| Reaction::Body(1_000))?;
    let (calls, names) =
        shared(Names { addresses: vec![vec![[127, 0, 0, 1].into()]], calls: AtomicUsize::new(0) });
    let names: Arc<dyn Lookup> = names;
    let client = WebhookClient::with_lookup(TIMEOUT, 1, true, &names, &connect::system_tls());
    for _ in 0..5 {
        assert!(send(&client, &format!("http://hooks.example:{}/", receiver.port())).await??.is_success());
    }
    assert_eq!(calls.calls.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn a_retry_after_is_reported() -> Result<()> {
    let receiver = Receiver::start_with(|_| Reaction::RetryAfter(429, "7".to_owned()))?;
    let reply = send(&WebhookClient::new(TIMEOUT, 1, true), &receiver.url()).await??;
    assert_eq!(reply, Reply { status: 429, retry_after: Some(Duration::from_secs(7)) });
    Ok(())
}
