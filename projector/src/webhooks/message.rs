//! What a receiver gets: the body and the headers that the specification names.

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

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

/// Most bytes of a body beside its type and the event.
const ENVELOPE_BYTES: usize = 128;

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
        // A buffer that grows may become twice as large.
        let mut encoded = Vec::with_capacity(ENVELOPE_BYTES + content.kind.len() + content.payload.len());
        serde_json::to_writer(&mut encoded, &body)?;
        let timestamp = now.timestamp();
        let signature = signature::sign(secrets, &id, timestamp, &encoded);
        Ok(Self { id, timestamp, signature, body: encoded.into() })
    }

    /// The headers that receivers are promised.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 4] {
        [
            ("content-type", "application/json".to_owned()),
            ("webhook-id", self.id.clone()),
            ("webhook-timestamp", self.timestamp.to_string()),
            ("webhook-signature", self.signature.clone()),
        ]
    }
}

/// The JSON Schema of what receivers are promised. `data` is an event: its kinds have schemas of their own.
#[must_use]
pub fn schema() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A webhook",
        "type": "object",
        "required": ["headers", "body"],
        "properties": {
            "headers": {
                "type": "object",
                "required": ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"],
                "properties": {
                    "content-type": {"type": "string", "const": "application/json"},
                    "webhook-id": text("The event's id: the same for each attempt and each copy."),
                    "webhook-timestamp": {
                        "type": "string",
                        "pattern": "^[0-9]+$",
                        "description": "When it was signed, in seconds since 1970.",
                    },
                    "webhook-signature": {
                        "type": "string",
                        "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$",
                        "description": "HMAC-SHA256 of `id.timestamp.body`; during a rotation one for each secret.",
                    },
                },
            },
            "body": {
                "type": "object",
                "required": ["type", "timestamp", "data"],
                "properties": {
                    "type": text("The kind of event. Ignore kinds that you do not know."),
                    "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
                    "data": {"type": "object", "description": "The event as it was written."},
                },
            },
        },
    })
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
