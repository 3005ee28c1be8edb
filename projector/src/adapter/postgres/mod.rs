//! The outbox and the parked events in PostgreSQL.

pub mod claimed;
pub mod frontier;
pub mod observation;
pub mod outbox;
pub mod parked_events;
