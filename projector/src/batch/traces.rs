//! The spans of a batch that was committed.

use std::time::SystemTime;

use service_kit::traces;

use super::source::{Batch, EventSource};
use crate::traces::{Outcome, Times, TracedEvent, record};

/// Records what became of the events of `batch` that carry a trace context.
pub(super) fn committed(source: &dyn EventSource, batch: &Batch, ended: SystemTime) {
    if !traces::are_on() {
        return;
    }
    let applied = batch.applied.iter().map(|event| (event, Outcome::Applied));
    let parked = batch.parked.iter().map(|letter| (letter.event(), Outcome::Parked));
    let locked = batch.locked.iter().map(|decoded| (&decoded.claimed, Outcome::Waiting));
    let traced: Vec<_> = applied
        .chain(parked)
        .chain(locked)
        .filter_map(|(event, outcome)| TracedEvent::claimed(event, source.subscription(), outcome))
        .collect();
    record(&traced, batch.len(), Times { began: batch.began, claimed: batch.claimed, ended });
}
