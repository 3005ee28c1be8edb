//! The sources of events that are claimed: the outbox, and what has left it without being applied.

mod outbox;
mod parked;
mod waiting;

pub(super) use outbox::OutboxSource;
pub(super) use parked::ParkedSource;
pub(super) use waiting::WaitingSource;
