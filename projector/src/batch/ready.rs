//! Claimed events that can be decoded and that no projection is known to refuse.

use std::collections::BTreeSet;

use service_kit::telemetry::chain;
use shared_events::{OrderEvent, UndecodableEvent};

use super::Drain;
use super::isolate::Found;
use crate::outbox::ClaimedEvent;
use crate::parked::Parked;

/// Events to be applied. Both lists have the same length and order.
#[derive(Default)]
pub(super) struct Ready {
    pub(super) claimed: Vec<ClaimedEvent>,
    pub(super) events: Vec<OrderEvent>,
}

/// An event whose row is locked, as it was claimed and decoded.
pub(super) type LockedEvent = (ClaimedEvent, OrderEvent);

/// An event that PostgreSQL refused, and why.
pub(super) type RefusedEvent = (ClaimedEvent, String);

impl Drain {
    /// Sorts what was claimed into events to be applied and events to be parked, without any statement.
    pub(super) fn sort_out(&self, claimed: Vec<ClaimedEvent>) -> (Ready, Vec<Parked>) {
        let (claimed_count, mut parked) = (claimed.len(), Vec::new());
        let mut ready =
            Ready { claimed: Vec::with_capacity(claimed_count), events: Vec::with_capacity(claimed_count) };
        for event in claimed {
            match self.decode(&event) {
                Ok(decoded) => {
                    ready.claimed.push(event);
                    ready.events.push(decoded);
                }
                Err(reason) => parked.push(Parked::new(event, &reason, &self.retries)),
            }
        }
        (ready, parked)
    }

    fn decode(&self, event: &ClaimedEvent) -> Result<OrderEvent, String> {
        let decoded = OrderEvent::decode(&event.kind, &event.payload)
            .map_err(|UndecodableEvent { reason, .. }| chain(&reason))?;
        let refusal = self.projections.iter().find_map(|projection| {
            projection.refuses(&decoded).map(|reason| format!("{}: {reason}", projection.name()))
        });
        refusal.map_or(Ok(decoded), Err)
    }
}

impl Ready {
    /// Takes out the events whose positions are in `found`.
    pub(super) fn split_off(&mut self, mut found: Found) -> (Vec<LockedEvent>, Vec<RefusedEvent>) {
        let (mut locked, mut refused) = (Vec::new(), Vec::new());
        if found.locked.is_empty() && found.refused.is_empty() {
            return (locked, refused);
        }
        let all = std::mem::take(self);
        for (position, (claimed, event)) in all.claimed.into_iter().zip(all.events).enumerate() {
            if let Some(reason) = found.refused.remove(&position) {
                refused.push((claimed, reason));
            } else if found.locked.contains(&position) {
                locked.push((claimed, event));
            } else {
                self.claimed.push(claimed);
                self.events.push(event);
            }
        }
        (locked, refused)
    }

    /// Takes out the events at these positions, whose rows are locked.
    pub(super) fn take_locked(&mut self, locked: BTreeSet<usize>) -> Vec<LockedEvent> {
        self.split_off(Found { locked, ..Found::default() }).0
    }
}
