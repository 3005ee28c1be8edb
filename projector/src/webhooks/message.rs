//! What a receiver gets: the body and the headers that the specification names.

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::signature::{self, Secret};

/// A signed message.
#[derive(Debug, Clone)]
pub struct Message {
    /// `webhook-id`: the event's id, the same for each attempt and each copy.
    pub id: String,
    /// `webhook-timestamp`: when it is sent, in seconds since 1970. Receivers refuse old messages.
    pub timestamp: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: Bytes,
}

/// What the body says, in the shape that the specification recommends.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The kind of event, such as `order_paid`.
    pub kind: &'a str,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The event as it was written: JSON.
    pub payload: &'a str,
}

/// The body's JSON.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    data: &'a RawValue,
}

/// PostgreSQL accepts the payload as JSON, but it is not.
#[derive(Debug, thiserror::Error)]
#[error("the payload is not JSON")]
pub struct NotJson(#[from] serde_json::Error);

impl Message {
    /// The message about an event, signed now with each of the secrets.
    pub fn new(
        id: String,
        content: Content<'_>,
        secrets: &[Secret],
        now: DateTime<Utc>,
    ) -> Result<Self, NotJson> {
        let body = Body {
            r#type: content.kind,
            timestamp: content.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            data: serde_json::from_str(content.payload)?,
        };
        let (body, timestamp) = (serde_json::to_vec(&body)?, now.timestamp());
        let signature = signature::sign(secrets, &id, timestamp, &body);
        Ok(Self { id, timestamp, signature, body: body.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_type_time_and_the_event_byte_for_byte() {
        let occurred_at = DateTime::from_timestamp_micros(1_795_000_000_000_001).unwrap();
        let content = Content { kind: "order_paid", occurred_at, payload: "{\"b\": 1.0,  \"a\":\"é\"}" };
        let message = Message::new("id".to_owned(), content, &[], DateTime::default()).unwrap();
        assert_eq!(
            message.body,
            "{\"type\":\"order_paid\",\"timestamp\":\"2026-11-18T11:06:40.000001Z\",\
             \"data\":{\"b\": 1.0,  \"a\":\"é\"}}"
        );
        let content = Content { payload: "\"\\ud800\" x", ..content };
        assert!(Message::new(String::new(), content, &[], DateTime::default()).is_err());
    }
}
