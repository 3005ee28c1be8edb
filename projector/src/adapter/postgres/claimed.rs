//! Events in the hands of a transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// An event that this transaction has taken out of the outbox, or locked among the parked ones. It is there as before if the
/// transaction is rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvent {
    /// Its id in the outbox.
    pub id: i64,
    /// Name of its kind.
    pub kind: String,
    /// Its payload, as JSON text.
    pub payload: String,
    /// When the transaction that wrote it began, within the years 1 to 9999.
    pub created_at: DateTime<Utc>,
    /// Where it was.
    pub origin: Origin,
}

/// Where a claimed event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the outbox.
    Outbox {
        /// How old it was when it was claimed, by the database's clock.
        age: Duration,
    },
    /// Among the events that wait for the end of a lock.
    Waiting {
        /// How old it was when it was claimed, by the database's clock.
        age: Duration,
    },
    /// Among the parked events.
    Parked {
        /// How often it has been tried.
        attempts: i32,
    },
}
