//! How endpoints and attempts are printed.

use service_kit::stored_time::StoredTime;

use crate::webhooks::operator::{EndpointStatus, PastAttempt};

pub(super) fn line(endpoint: &EndpointStatus) -> String {
    let EndpointStatus { id, url, waiting, parked, failures, .. } = endpoint;
    let state = match (&endpoint.paused_reason, &endpoint.failing_since) {
        (Some(reason), _) => format!("paused ({reason})"),
        (None, Some(since)) => format!("failing since {}, {failures} in a row", time(*since)),
        (None, None) => endpoint.state.clone(),
    };
    let kinds = match endpoint.kinds.as_slice() {
        [] => "all but order_republished".to_owned(),
        kinds => kinds.join(", "),
    };
    let subscription = match endpoint.subscription_state.as_deref() {
        Some("running") => String::new(),
        Some(state) => format!("; subscription {state}, see `projector subscriptions show webhook:{id}`"),
        None => "; its subscription is gone: remove the endpoint and add it again".to_owned(),
    };
    let behind = endpoint.oldest_not_copied.map_or(String::new(), |since| {
        format!("; events since {} are not copied from the log yet", time(since))
    });
    format!("{id}  {url}  {state}{subscription}; waiting {waiting}, parked {parked}{behind}; {kinds}")
}

pub(super) fn attempt(attempt: &PastAttempt) -> String {
    let PastAttempt { position, event_id, latency_ms, .. } = attempt;
    let outcome = match (attempt.status, &attempt.error) {
        (Some(status), _) => format!("status {status}"),
        (None, error) => error.clone().unwrap_or_default(),
    };
    format!("    {}  {position}  {event_id}  {latency_ms} ms  {outcome}", time(attempt.attempted_at))
}

fn time(at: StoredTime) -> String {
    at.clamped().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
