//! The outbox and the parked events in PostgreSQL.

pub mod outbox;
pub mod parked_events;
