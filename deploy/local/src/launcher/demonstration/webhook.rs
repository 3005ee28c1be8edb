//! The webhooks that a receiver of its own gets of an order, while the demonstration runs.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use receiver::Message;
use serde_json::Value;
use testkit::services::Operator;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::{VISIBLE_LIMIT, milliseconds, print_line};

/// The receiver of deploy/examples/receiver, to which the projector sends events.
pub(super) struct Webhook {
    messages: UnboundedReceiver<Received>,
    /// Removed first, so that nothing is sent to nobody.
    endpoint: Endpoint,
    server: JoinHandle<std::io::Result<()>>,
}

/// A message whose signature was right.
struct Received {
    message: Message,
    /// The time since it happened.
    after: Duration,
}

/// Removes itself from the database, also if the demonstration fails or is interrupted.
struct Endpoint {
    operator: Operator,
    /// Empty once removed.
    id: Option<String>,
}

impl Webhook {
    /// Receives the events that are logged from now on.
    pub(super) async fn from_now_on(operator: Operator) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}/", listener.local_addr()?);
        let added = operator.json(&["webhooks", "add", "--url", &url]).await?;
        let id = added.get("id").and_then(Value::as_i64).context("the endpoint has no id")?;
        let endpoint = Endpoint { operator, id: Some(id.to_string()) };
        let secret = added.get("secret").and_then(Value::as_str).context("the endpoint has no secret")?;
        let (send, messages) = unbounded_channel();
        let server = receiver::serve(listener, secret, move |message| {
            let after = (chrono::Utc::now() - message.timestamp).to_std().unwrap_or_default();
            Ok(send.send(Received { message: message.clone(), after })?)
        })?;
        Ok(Self { messages, endpoint, server: tokio::spawn(server) })
    }

    /// Waits for a message about this order: from then on the projector knows the endpoint.
    pub(super) async fn wait_for(&mut self, order_id: &str) -> Result<()> {
        while self.next().await?.order_id() != Some(order_id) {}
        Ok(())
    }

    async fn next(&mut self) -> Result<Received> {
        let next = tokio::time::timeout(VISIBLE_LIMIT, self.messages.recv()).await;
        next.context("no webhook came")?.context("the receiver has ended")
    }

    /// Prints the messages about the order, up to this version, and removes the endpoint.
    pub(super) async fn print(mut self, order_id: &str, version: i64) -> Result<()> {
        let mut next = 1;
        while next <= version {
            let received = self.next().await?;
            if received.order_id() == Some(order_id) {
                let got = received.version();
                ensure!(got == Some(next), "the webhook of version {next} had {got:?}");
                next += 1;
                print_line(&received.line())?;
            }
        }
        self.end()
    }

    fn end(mut self) -> Result<()> {
        self.endpoint.remove()?;
        self.server.abort();
        Ok(())
    }
}

impl Received {
    fn line(&self) -> String {
        let (kind, id) = (&self.message.kind, &self.message.id);
        format!("  {kind:<15}  {id}  signature verified, {}", milliseconds(self.after))
    }

    fn order_id(&self) -> Option<&str> {
        self.message.data.pointer("/order/order_id")?.as_str()
    }

    fn version(&self) -> Option<i64> {
        self.message.data.pointer("/order/version")?.as_i64()
    }
}

impl Endpoint {
    fn remove(&mut self) -> Result<()> {
        if let Some(id) = self.id.take() {
            self.operator.json_blocking(&["webhooks", "remove", &id])?;
        }
        Ok(())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Whatever ended the demonstration is reported; the database may be gone too.
        let _failed = self.remove();
    }
}
