//! Subscriptions to the event log.

mod alone;
mod beyond;
mod clock;
mod commands;
mod exact;
mod golden;
mod parked;
mod processes;
mod support;
