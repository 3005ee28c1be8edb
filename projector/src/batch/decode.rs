//! Decoding claimed events, and sorting out those that cannot be projected.

use service_kit::telemetry::chain;
use shared_events::{OrderEvent, UndecodableEvent};

use super::applier::Applier;
use crate::event_fields::EventFields;
use crate::outbox::ClaimedEvent;
use crate::parked::DeadLetter;

/// An event as it was claimed and as it was decoded.
pub(crate) struct DecodedEvent {
    pub(crate) claimed: ClaimedEvent,
    pub(crate) event: OrderEvent,
}

impl DecodedEvent {
    pub(super) fn fields(&self) -> EventFields {
        EventFields::of(&self.claimed.payload, self.claimed.traceparent.as_deref())
    }
}

/// The events as projections get them.
pub(super) fn events(decoded: &[DecodedEvent]) -> Vec<&OrderEvent> {
    decoded.iter().map(|decoded| &decoded.event).collect()
}

impl Applier {
    /// Decodes events. Those that cannot be decoded, or that a projection refuses, become dead letters without
    /// being tried.
    pub(super) fn decode_all(&self, claimed: Vec<ClaimedEvent>) -> (Vec<DecodedEvent>, Vec<DeadLetter>) {
        let (mut decoded, mut parked) = (Vec::with_capacity(claimed.len()), Vec::new());
        for claimed in claimed {
            match self.decode(&claimed) {
                Ok(event) => decoded.push(DecodedEvent { claimed, event }),
                Err(reason) => parked.push(DeadLetter::new(claimed, &reason, &self.retry_policy)),
            }
        }
        (decoded, parked)
    }

    fn decode(&self, claimed: &ClaimedEvent) -> Result<OrderEvent, String> {
        let event = OrderEvent::decode(&claimed.kind, &claimed.payload)
            .map_err(|UndecodableEvent { reason, .. }| chain(&reason))?;
        let refusal = self.projections.iter().find_map(|projection| {
            projection.refuses(&event).map(|reason| format!("{}: {reason}", projection.name()))
        });
        refusal.map_or(Ok(event), Err)
    }
}
