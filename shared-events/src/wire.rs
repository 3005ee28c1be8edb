//! How an event is written down: a kind beside a flat JSON payload.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{OrderChange, OrderEvent, OrderItem, OrderState, SCHEMA_VERSION};

/// An event ready to be stored: the two columns of the outbox that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedEvent {
    /// Name of the kind, such as `order_placed`.
    pub kind: &'static str,
    /// The payload, a JSON object.
    pub payload: String,
}

/// An event that could not be written as JSON. No value of [`OrderEvent`] is known to cause it.
#[derive(Debug, thiserror::Error)]
#[error("the event cannot be encoded")]
pub struct EncodeError(#[source] serde_json::Error);

/// An event that this build cannot read, with everything needed to keep it.
#[derive(Debug, thiserror::Error)]
#[error("event of kind {kind:?} cannot be decoded")]
pub struct UndecodableEvent {
    /// The kind as it was stored.
    pub kind: String,
    /// The payload as it was stored, byte for byte.
    pub payload: String,
    /// Why it cannot be read.
    #[source]
    pub reason: DecodeReason,
}

/// Why an event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeReason {
    /// No such kind in this build; a newer writer may know it.
    #[error("the kind is not known")]
    UnknownKind,
    /// Written by a newer build, under rules that this one does not know.
    #[error("schema_version {found} is newer than {SCHEMA_VERSION}")]
    NewerSchema {
        /// The version that the payload names.
        found: u64,
    },
    /// The payload is not what its kind promises.
    #[error("the payload is malformed")]
    Malformed(#[source] serde_json::Error),
    /// A field that this kind cannot do without is not there.
    #[error("the payload lacks `{0}`")]
    MissingField(&'static str),
}

/// All fields of all kinds in one flat object. Flat rather than `serde(flatten)`, which buffers every value on the
/// way in: decoding is the projector's largest share of work outside PostgreSQL.
#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    event_id: Uuid,
    schema_version: u64,
    occurred_at: DateTime<Utc>,
    order: Cow<'a, OrderState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<Cow<'a, [OrderItem]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carrier: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracking_number: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
}

/// Only the version, read first: the rest of a newer payload need not make sense to this build.
#[derive(Deserialize)]
struct VersionOnly {
    schema_version: u64,
}

impl OrderEvent {
    /// Writes the event as its kind and JSON payload, under [`SCHEMA_VERSION`].
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when serde cannot write the payload.
    pub fn encode(&self) -> Result<EncodedEvent, EncodeError> {
        let mut payload = Payload {
            event_id: self.event_id,
            schema_version: SCHEMA_VERSION,
            occurred_at: self.occurred_at,
            order: Cow::Borrowed(&self.order),
            items: None,
            carrier: None,
            tracking_number: None,
            reason: None,
        };
        match &self.change {
            OrderChange::Placed { items } => payload.items = Some(Cow::Borrowed(items)),
            OrderChange::Shipped { carrier, tracking_number } => {
                payload.carrier = carrier.as_deref().map(Cow::Borrowed);
                payload.tracking_number = tracking_number.as_deref().map(Cow::Borrowed);
            }
            OrderChange::Cancelled { reason } => payload.reason = reason.as_deref().map(Cow::Borrowed),
            OrderChange::Paid | OrderChange::Delivered | OrderChange::Republished => {}
        }
        let payload = serde_json::to_string(&payload).map_err(EncodeError)?;
        Ok(EncodedEvent { kind: self.kind(), payload })
    }

    /// Reads an event from its kind and JSON payload.
    ///
    /// # Errors
    ///
    /// [`UndecodableEvent`], which keeps both as they came, for an unknown kind, a newer `schema_version`, or a
    /// payload that is not what the kind promises.
    pub fn decode(kind: &str, payload: &str) -> Result<Self, UndecodableEvent> {
        decode(kind, payload).map_err(|reason| UndecodableEvent {
            kind: kind.to_owned(),
            payload: payload.to_owned(),
            reason,
        })
    }
}

fn decode(kind: &str, text: &str) -> Result<OrderEvent, DecodeReason> {
    let payload: Payload<'_> = match serde_json::from_str(text) {
        Ok(payload) => payload,
        Err(error) => return Err(why_malformed(kind, text, error)),
    };
    if payload.schema_version > SCHEMA_VERSION {
        return Err(DecodeReason::NewerSchema { found: payload.schema_version });
    }
    let change = match kind {
        "order_placed" => OrderChange::Placed {
            items: payload.items.ok_or(DecodeReason::MissingField("items"))?.into_owned(),
        },
        "order_paid" => OrderChange::Paid,
        "order_shipped" => OrderChange::Shipped {
            carrier: payload.carrier.map(Cow::into_owned),
            tracking_number: payload.tracking_number.map(Cow::into_owned),
        },
        "order_delivered" => OrderChange::Delivered,
        "order_cancelled" => OrderChange::Cancelled { reason: payload.reason.map(Cow::into_owned) },
        "order_republished" => OrderChange::Republished,
        _ => return Err(DecodeReason::UnknownKind),
    };
    Ok(OrderEvent {
        event_id: payload.event_id,
        occurred_at: payload.occurred_at,
        order: payload.order.into_owned(),
        change,
    })
}

/// An event from the future is named as such even where its payload has changed beyond recognition.
fn why_malformed(kind: &str, text: &str, error: serde_json::Error) -> DecodeReason {
    if !OrderChange::KINDS.contains(&kind) {
        return DecodeReason::UnknownKind;
    }
    match serde_json::from_str::<VersionOnly>(text) {
        Ok(VersionOnly { schema_version: found }) if found > SCHEMA_VERSION => {
            DecodeReason::NewerSchema { found }
        }
        _ => DecodeReason::Malformed(error),
    }
}
