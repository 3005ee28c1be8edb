//! `projector webhooks test`: one signed message, sent by the command itself.

use anyhow::{Context, Result, bail};
use chrono::Utc;
use futures_util::FutureExt;
use serde_json::json;
use service_kit::database::Database;
use service_kit::telemetry::chain;
use uuid::Uuid;

use super::unknown;
use crate::cli::print::{print_json, print_line};
use crate::webhooks::WebhookConfig;
use crate::webhooks::message::{Content, Message};
use crate::webhooks::store;

/// Not a kind of event, so that no receiver takes it for one.
const KIND: &str = "webhook.test";

/// Sends it also to a paused endpoint: an operator wants to know whether it works before resuming it.
pub(super) async fn run(database: &Database, config: &WebhookConfig, id: i64, as_json: bool) -> Result<()> {
    let endpoints = database.run(|connection| store::load(connection).boxed());
    let endpoints = endpoints.await.context("cannot load the endpoint")?;
    let endpoint = endpoints.iter().find(|endpoint| endpoint.id == id).ok_or_else(|| unknown(id))?;
    let (now, message_id) = (Utc::now(), format!("test_{}", Uuid::new_v4()));
    let content = Content { kind: KIND, occurred_at: now, payload: "{}" };
    let message = Message::new(message_id.clone(), content, &endpoint.secrets, now)?;
    let (reply, latency) = config.client().send(&endpoint.url, message).await;
    let latency_ms = u64::try_from(latency.as_millis())?;
    let (status, error) = match &reply {
        Ok(reply) => (Some(reply.status), None),
        Err(error) => (None, Some(chain(error))),
    };
    if as_json {
        print_json(&json!({
            "id": id,
            "webhook_id": message_id,
            "status": status,
            "latency_ms": latency_ms,
            "error": error,
        }))?;
    } else if let Some(status) = status {
        print_line(&format!("{id} responded with status {status} after {latency_ms} ms"))?;
    }
    match reply {
        Ok(reply) if reply.is_success() => Ok(()),
        Ok(reply) => bail!("the endpoint did not accept the message: status {}", reply.status),
        Err(error) => Err(error).context("the endpoint did not accept the message"),
    }
}
