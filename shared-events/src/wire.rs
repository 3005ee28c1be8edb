//! The wire format: a kind and a flat JSON payload.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::order_state::rfc3339;
use crate::{OrderChange, OrderEvent, OrderFacts, OrderItem, OrderState, SCHEMA_VERSION};

/// An encoded event: its two columns in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedEvent {
    /// The stored name of the kind, such as `order_placed`.
    pub kind: &'static str,
    /// The payload, a JSON object.
    pub payload: String,
}

/// The event could not be written as JSON. No value of [`OrderEvent`] is known to cause this.
#[derive(Debug, thiserror::Error)]
#[error("the event cannot be encoded")]
pub struct EncodeError(#[source] serde_json::Error);

/// An event that this build cannot decode, with all data needed to keep it.
#[derive(Debug, thiserror::Error)]
#[error("event of kind {kind:?} cannot be decoded")]
pub struct UndecodableEvent {
    /// The stored kind.
    pub kind: String,
    /// The stored payload, byte for byte.
    pub payload: String,
    /// Why the event cannot be decoded.
    #[source]
    pub reason: DecodeReason,
}

/// Why an event cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeReason {
    /// This build does not know the kind; a newer one may.
    #[error("the kind is not known")]
    UnknownKind,
    /// A newer build wrote the payload in a format that this build does not know.
    #[error("schema_version {found} is newer than {SCHEMA_VERSION}")]
    NewerSchema {
        /// The payload's `schema_version`.
        found: u64,
    },
    /// The payload does not have the structure of its kind.
    #[error("the payload is malformed")]
    Malformed(#[source] serde_json::Error),
    /// The payload lacks a field that this kind requires.
    #[error("the payload lacks `{0}`")]
    MissingField(&'static str),
}

/// All fields of all kinds in one flat object: the facts stand beside `order`. Not `serde(flatten)`, which buffers
/// every value while decoding: decoding is the projector's largest cost outside PostgreSQL.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Payload<'a> {
    event_id: Uuid,
    schema_version: u64,
    #[serde(serialize_with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "DateTime<Utc>"))]
    occurred_at: DateTime<Utc>,
    order: Cow<'a, OrderState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<Cow<'a, [OrderItem]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carrier: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracking_number: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paid_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shipped_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivered_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<DateTime<Utc>>,
}

/// Only the version. The rest of a newer payload may have any structure.
#[derive(Deserialize)]
struct VersionOnly {
    schema_version: u64,
}

impl OrderEvent {
    /// Encodes the event as its kind and JSON payload, with [`SCHEMA_VERSION`].
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if serde cannot write the payload.
    pub fn encode(&self) -> Result<EncodedEvent, EncodeError> {
        let facts = &self.facts;
        let payload = Payload {
            event_id: self.event_id,
            schema_version: SCHEMA_VERSION,
            occurred_at: self.occurred_at,
            order: Cow::Borrowed(&self.order),
            items: facts.items.as_deref().map(Cow::Borrowed),
            currency: facts.currency.as_deref().map(Cow::Borrowed),
            carrier: facts.carrier.as_deref().map(Cow::Borrowed),
            tracking_number: facts.tracking_number.as_deref().map(Cow::Borrowed),
            reason: facts.cancel_reason.as_deref().map(Cow::Borrowed),
            paid_at: facts.paid_at,
            shipped_at: facts.shipped_at,
            delivered_at: facts.delivered_at,
            cancelled_at: facts.cancelled_at,
        };
        let payload = serde_json::to_string(&payload).map_err(EncodeError)?;
        Ok(EncodedEvent { kind: self.kind(), payload })
    }

    /// Decodes an event from its kind and JSON payload.
    ///
    /// # Errors
    ///
    /// [`UndecodableEvent`], which keeps both unchanged, for an unknown kind, a newer `schema_version`, or a payload
    /// without the structure of its kind.
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
    let change = OrderChange::from_kind(kind).ok_or(DecodeReason::UnknownKind)?;
    if change == OrderChange::Placed && payload.items.is_none() {
        return Err(DecodeReason::MissingField("items"));
    }
    let (occurred_at, order) = (payload.occurred_at, payload.order.into_owned());
    let mut facts = OrderFacts {
        items: payload.items.map(Cow::into_owned),
        currency: payload.currency.map(Cow::into_owned),
        carrier: payload.carrier.map(Cow::into_owned),
        tracking_number: payload.tracking_number.map(Cow::into_owned),
        cancel_reason: payload.reason.map(Cow::into_owned),
        paid_at: payload.paid_at,
        shipped_at: payload.shipped_at,
        delivered_at: payload.delivered_at,
        cancelled_at: payload.cancelled_at,
    };
    facts.add_time_of_last_step(&order, occurred_at);
    Ok(OrderEvent { event_id: payload.event_id, occurred_at, order, facts, change })
}

/// Detects events of newer builds, even if nothing but `schema_version` can be read.
fn why_malformed(kind: &str, text: &str, error: serde_json::Error) -> DecodeReason {
    if OrderChange::from_kind(kind).is_none() {
        return DecodeReason::UnknownKind;
    }
    match serde_json::from_str::<VersionOnly>(text) {
        Ok(VersionOnly { schema_version: found }) if found > SCHEMA_VERSION => {
            DecodeReason::NewerSchema { found }
        }
        _ => DecodeReason::Malformed(error),
    }
}
