//! An event to park, with its reason.

use std::time::Duration;

use super::RetryPolicy;
use crate::event_fields::EventFields;
use crate::outbox::{ClaimedEvent, Origin};

/// Most characters of a reason that are stored.
const REASON_MAX: usize = 2_000;
/// Most ids of a batch that are logged.
const LOGGED_IDS: usize = 10;

/// A claimed event that cannot be projected.
pub(crate) struct DeadLetter {
    event: ClaimedEvent,
    attempts: i32,
    reason: String,
    retry_in: Option<Duration>,
}

impl DeadLetter {
    /// `event` failed once more, for this reason.
    pub(crate) fn new(event: ClaimedEvent, reason: &str, policy: &RetryPolicy) -> Self {
        let before = match event.origin {
            Origin::Outbox { .. } | Origin::Waiting { .. } | Origin::Log => 0,
            Origin::Parked { attempts } => attempts,
        };
        let attempts = before.saturating_add(1);
        Self { event, attempts, reason: storable(reason), retry_in: policy.retry_in(attempts) }
    }

    pub(crate) fn id(&self) -> i64 {
        self.event.id
    }

    pub(crate) fn event(&self) -> &ClaimedEvent {
        &self.event
    }

    /// How often it has been tried.
    pub(crate) fn attempts(&self) -> i32 {
        self.attempts
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// When to try again; never if there is none.
    pub(crate) fn retry_in(&self) -> Option<Duration> {
        self.retry_in
    }
}

/// Logs one line a batch, so that many refused events do not flood the log. None is the subscription of the claim.
pub(crate) fn log(subscription: Option<&str>, parked: &[DeadLetter]) {
    let Some(first) = parked.first() else { return };
    let fields = EventFields::of(&first.event.payload, first.event.traceparent.as_deref());
    let ids: Vec<_> = parked.iter().take(LOGGED_IDS).map(DeadLetter::id).collect();
    tracing::error!(
        subscription,
        events = parked.len(),
        first.ids = ?ids,
        first.kind = first.event.kind,
        first.attempts = first.attempts,
        first.retry_in_s = first.retry_in.map(|retry_in| retry_in.as_secs()),
        first.reason = first.reason,
        order.id = fields.order_id(),
        order.version = fields.version(),
        trace_id = fields.trace_id(),
        span_id = fields.span_id(),
        "events parked"
    );
}

/// A reason may contain text of the event, with characters that cannot be stored or shown on one line.
fn storable(reason: &str) -> String {
    let mut stored = String::new();
    for character in reason.chars().take(REASON_MAX) {
        if character.is_control() {
            stored.extend(character.escape_default());
        } else {
            stored.push(character);
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_can_always_be_stored_and_shown_on_one_line() {
        assert_eq!(storable("“é” is no\0 status\n"), "“é” is no\\u{0} status\\n");
        assert_eq!(storable(&"x".repeat(5_000)).len(), REASON_MAX);
    }
}
