//! Events that are set aside, with the reason.

use std::time::Duration;

use super::Parking;
use super::RetryPolicy;
use crate::outbox::{ClaimedEvent, Origin};

/// Most characters of a reason that are kept with a parked event.
const LONGEST_REASON: usize = 2_000;
/// Most ids of a batch that are logged.
const LOGGED_IDS: usize = 10;

/// An event that was set aside.
pub(crate) struct Parked {
    event: ClaimedEvent,
    attempts: i32,
    reason: String,
    retry_in: Option<Duration>,
}

impl Parked {
    /// Sets `event` aside because of `reason`. This was one more attempt.
    pub(crate) fn new(event: ClaimedEvent, reason: &str, retries: &RetryPolicy) -> Self {
        let before = match event.origin {
            Origin::Outbox { .. } | Origin::Waiting { .. } => 0,
            Origin::Parked { attempts } => attempts,
        };
        let attempts = before.saturating_add(1);
        Self { event, attempts, reason: storable(reason), retry_in: retries.wait_after(attempts) }
    }

    pub(crate) fn id(&self) -> i64 {
        self.event.id
    }

    pub(crate) fn parking(&self) -> Parking<'_> {
        Parking { event: &self.event, attempts: self.attempts, error: &self.reason, retry_in: self.retry_in }
    }
}

/// One line a batch: a storm of refused events must not become a storm of lines.
pub(crate) fn log(parked: &[Parked]) {
    let Some(first) = parked.first() else { return };
    let ids: Vec<_> = parked.iter().take(LOGGED_IDS).map(|parked| parked.event.id).collect();
    tracing::error!(
        events = parked.len(),
        first.ids = ?ids,
        first.kind = first.event.kind,
        first.attempts = first.attempts,
        first.retry_in_s = first.retry_in.map(|wait| wait.as_secs()),
        first.reason = first.reason,
        "events parked"
    );
}

/// What an event says may get into the reason, with characters that cannot be stored, or shown on a line.
fn storable(reason: &str) -> String {
    let mut kept = String::new();
    for character in reason.chars().take(LONGEST_REASON) {
        if character.is_control() {
            kept.extend(character.escape_default());
        } else {
            kept.push(character);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_can_always_be_stored_and_shown_on_one_line() {
        assert_eq!(storable("“é” is no\0 status\n"), "“é” is no\\u{0} status\\n");
        assert_eq!(storable(&"x".repeat(5_000)).len(), LONGEST_REASON);
    }
}
