//! What a delivery needs to know of an event. The rest is passed on unread, so that events of later builds are too.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use crate::event_log::LoggedEvent;
use crate::webhooks::delivery::NewDelivery;

#[derive(Deserialize)]
struct Keys {
    event_id: Uuid,
    occurred_at: DateTime<Utc>,
    order: OrderKey,
}

#[derive(Deserialize)]
struct OrderKey {
    order_id: Uuid,
}

/// The delivery of an event; or why there is none.
pub(super) fn delivery(event: &LoggedEvent) -> Result<NewDelivery<'_>, String> {
    let keys: Keys = serde_json::from_str(&event.payload).map_err(|error| without_its_keys(&error))?;
    Ok(NewDelivery {
        position: event.position,
        order_id: keys.order.order_id,
        event_id: keys.event_id,
        kind: &event.kind,
        payload: &event.payload,
        occurred_at: StoredTime::from(keys.occurred_at).clamped(),
        recorded_at: event.recorded_at,
        traceparent: event.traceparent.as_deref(),
    })
}

/// Without text of the event, which may be long, secret, or no text to PostgreSQL.
fn without_its_keys(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("no event_id, occurred_at and order.order_id that can be used (line {line}, column {column})")
}
