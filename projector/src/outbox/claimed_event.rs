//! Events that a transaction has claimed.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How much one claim takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimLimits {
    /// Most events.
    pub events: i64,
    /// Most bytes of payload. The first event is claimed even if it is larger.
    pub bytes: i64,
}

/// An event that this transaction has deleted from the outbox, or locked among the waiting or parked events. A rollback
/// releases it unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvent {
    /// Its outbox id.
    pub id: i64,
    /// The name of its kind.
    pub kind: String,
    /// Its payload, as JSON text.
    pub payload: String,
    /// When the transaction that wrote it began, within the years 1 to 9999.
    pub created_at: DateTime<Utc>,
    /// The trace context of the request that wrote it, if its trace is recorded.
    pub traceparent: Option<String>,
    /// Where it was claimed.
    pub origin: Origin,
}

/// Where an event was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the outbox.
    Outbox {
        /// Its age at the claim, by the database's clock.
        age: Duration,
    },
    /// Among the waiting events.
    Waiting {
        /// Its age at the claim, by the database's clock.
        age: Duration,
    },
    /// In the event log.
    Log,
    /// Among the parked events.
    Parked {
        /// How often it has been tried.
        attempts: i32,
    },
}
