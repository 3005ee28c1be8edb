//! Each event is handled once, and only if its signature is right.

use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};

use anyhow::{Result, bail};
use chrono::{TimeDelta, Utc};
use reqwest::StatusCode;
use standardwebhooks::Webhook;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const BODY: &str = r#"{"type":"order_paid","timestamp":"2026-11-18T11:07:40.123456Z","data":{"a":1}}"#;

/// A running receiver: its URL, and what it has handled. It fails to handle the event `refused`, once.
fn start() -> Result<(String, Receiver<String>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let (handled, ids) = mpsc::channel();
    let mut refuses = true;
    let server = receiver::serve(listener, SECRET, move |message| {
        if message.id == "refused" && std::mem::take(&mut refuses) {
            bail!("not now");
        }
        Ok(handled.send(format!("{} {} {}", message.id, message.kind, message.data))?)
    })?;
    tokio::spawn(server);
    Ok((url, ids))
}

async fn send(url: &str, id: &str, signed_by: &str, seconds_old: i64) -> Result<StatusCode> {
    let timestamp = (Utc::now() - TimeDelta::seconds(seconds_old)).timestamp();
    let signature = Webhook::new(signed_by)?.sign(id, timestamp, BODY.as_bytes())?;
    let request = reqwest::Client::new().post(url).body(BODY).header("webhook-id", id);
    let request = request.header("webhook-timestamp", timestamp).header("webhook-signature", signature);
    Ok(request.send().await?.status())
}

#[test]
fn the_address_is_named_if_its_port_is_taken() -> Result<()> {
    // If that fails, another program has it, which is just as well.
    let _taken = TcpListener::bind("127.0.0.1:8085");
    let mut receiver = Command::new(env!("CARGO_BIN_EXE_receiver"));
    let output = receiver.env("WEBHOOK_SECRET", SECRET).output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!output.status.success() && said.contains("cannot listen at 127.0.0.1:8085"), "{said}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_comes_again_is_accepted_and_handled_once() -> Result<()> {
    let (url, handled) = start()?;
    for id in ["a", "a", "b", "a"] {
        assert_eq!(send(&url, id, SECRET, 0).await?, StatusCode::NO_CONTENT);
    }
    assert_eq!(
        handled.try_iter().collect::<Vec<_>>(),
        [r#"a order_paid {"a":1}"#, r#"b order_paid {"a":1}"#]
    );
    Ok(())
}

#[tokio::test]
async fn a_foreign_signature_an_old_message_and_a_request_without_headers_are_refused() -> Result<()> {
    let (url, handled) = start()?;
    let foreign = "whsec_YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
    for (secret, seconds_old) in [(foreign, 0), (SECRET, 3_600), (SECRET, -3_600)] {
        assert_eq!(send(&url, "a", secret, seconds_old).await?, StatusCode::UNAUTHORIZED);
    }
    let bare = reqwest::Client::new().post(&url).body(BODY).send().await?;
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(handled.try_iter().count(), 0);
    Ok(())
}

#[tokio::test]
async fn an_event_that_could_not_be_handled_is_handled_when_it_comes_again() -> Result<()> {
    let (url, handled) = start()?;
    assert_eq!(send(&url, "refused", SECRET, 0).await?, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(send(&url, "refused", SECRET, 0).await?, StatusCode::NO_CONTENT);
    assert_eq!(handled.try_iter().collect::<Vec<_>>(), [r#"refused order_paid {"a":1}"#]);
    Ok(())
}
