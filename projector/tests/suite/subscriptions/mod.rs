//! Subscriptions to the event log.

mod alone;
mod commands;
mod exact;
mod golden;
mod parked;
mod processes;
mod support;
