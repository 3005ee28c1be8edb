//! One attempt to deliver an event.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;
use service_kit::traces::{Running, Step, TraceContext};

use super::client::{Reply, SendError, WebhookClient};
use super::delivery::{FinishedAttempt, Leased};
use super::endpoint::Endpoint;
use super::message::{Content, Message};
use super::metrics::Outcome;
use crate::event_fields::EventFields;

/// Most characters of an error that are stored.
const ERROR_MAX: usize = 500;

/// What became of an attempt.
pub(crate) struct Attempt {
    pub(crate) finished: FinishedAttempt,
    pub(crate) outcome: Outcome,
}

/// Sends `leased` to `endpoint`.
pub(crate) async fn send(
    client: &WebhookClient,
    endpoint: &Endpoint,
    leased: Leased,
    now: DateTime<Utc>,
) -> Attempt {
    let mut finished = FinishedAttempt {
        position: leased.position,
        fence: leased.fence,
        event_id: leased.event_id,
        failures: leased.failures,
        first_failed_at: leased.first_failed_at,
        status: None,
        retry_after: None,
        latency: Duration::ZERO,
        error: None,
        fields: EventFields::of(&leased.payload, leased.traceparent.as_deref()),
    };
    let content = Content { kind: &leased.kind, occurred_at: leased.occurred_at, payload: &leased.payload };
    let message = match Message::new(leased.event_id.to_string(), content, &endpoint.secrets, now) {
        Ok(message) => message,
        Err(error) => {
            finished.error = Some(storable(&chain(&error)));
            return Attempt { finished, outcome: Outcome::Failed };
        }
    };
    let trace = leased.traceparent.as_deref().and_then(TraceContext::parse);
    let span = trace.as_ref().and_then(|trace| begin(endpoint.id, &leased).child_of(trace));
    // The payload is in the message now.
    drop(leased);
    let (reply, latency) = client.send(&endpoint.url, message).await;
    finished.latency = latency;
    let outcome = outcome(&reply);
    if let Some(span) = span {
        end(span, outcome, reply.as_ref().ok());
    }
    match reply {
        Ok(reply) => {
            finished.status = Some(reply.status);
            finished.retry_after = reply.retry_after;
            finished.error = (!reply.is_success()).then(|| format!("status {}", reply.status));
        }
        Err(error) => finished.error = Some(storable(&chain(&error))),
    }
    if let Some(error) = &finished.error {
        log_failure(endpoint.id, error, &finished.fields);
    }
    Attempt { finished, outcome }
}

/// The attempt's span. Not the URL, which may contain a secret.
fn begin(endpoint: i64, leased: &Leased) -> Step {
    Step::new("webhook")
        .client()
        .with("http.request.method", "POST")
        .with("orders.webhook.endpoint", endpoint)
        .with("orders.webhook.attempt", i64::from(leased.failures) + 1)
        .with("orders.event.kind", leased.kind.clone())
        .with("orders.event.position", leased.position)
}

fn end(mut span: Running, outcome: Outcome, reply: Option<&Reply>) {
    if let Some(reply) = reply {
        span = span.with("http.response.status_code", i64::from(reply.status));
    }
    if outcome != Outcome::Delivered {
        span = span.failed(outcome.name());
    }
    span.end_at(SystemTime::now());
}

fn outcome(reply: &Result<Reply, SendError>) -> Outcome {
    match reply {
        Ok(reply) if reply.is_success() => Outcome::Delivered,
        Ok(_) => Outcome::Refused,
        Err(SendError::Timeout(_)) => Outcome::TimedOut,
        Err(SendError::AddressRefused(_) | SendError::PlainRefused) => Outcome::AddressRefused,
        Err(SendError::Request(_) | SendError::Failed(_)) => Outcome::Failed,
    }
}

/// INFO, because another system is at fault. Only the id of the endpoint: its URL may contain a secret.
fn log_failure(endpoint: i64, error: &str, fields: &EventFields) {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = FAILED.count() {
        tracing::info!(
            times,
            webhook.endpoint = endpoint,
            order.id = fields.order_id(),
            order.version = fields.version(),
            trace_id = fields.trace_id(),
            span_id = fields.span_id(),
            error,
            "a webhook was not delivered; it is tried again"
        );
    }
}

/// On one line, and short enough.
fn storable(error: &str) -> String {
    error
        .chars()
        .take(ERROR_MAX)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}
