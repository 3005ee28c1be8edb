//! What one batch of a subscription did.

use super::claim::Claimed;

/// What one batch of a subscription did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: another worker has the subscription, or it is paused, lost or not due.
    NotClaimed,
    /// Nothing: the listener has no room for more events.
    Full,
    /// Events are missing; the subscription is lost.
    Lost {
        /// Which ones.
        reason: String,
    },
    /// The events after the checkpoint were handled.
    Handled(Handled),
}

/// The events after the checkpoint were handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handled {
    /// How many, parked ones included.
    pub events: usize,
    /// How many of them were parked.
    pub parked: usize,
    /// The checkpoint after them.
    pub checkpoint: i64,
    /// The position in front of which later events wait.
    pub hole: Option<i64>,
    /// There may be more events.
    pub is_more: bool,
}

impl Progress {
    /// `parked` of the claimed events were parked.
    pub(super) fn new(claimed: Claimed, parked: usize) -> Self {
        match claimed {
            Claimed::Nothing => Self::NotClaimed,
            Claimed::Lost { reason } => Self::Lost { reason },
            Claimed::Events { locked, read } => Self::Handled(Handled {
                events: read.events.len(),
                parked,
                checkpoint: read.events.last().map_or(locked.checkpoint, |event| event.position),
                hole: read.hole,
                is_more: read.is_more,
            }),
        }
    }
}
