//! Subscriptions to the event log.

mod alone;
mod beyond;
mod clock;
mod commands;
mod exact;
mod fed;
mod generations;
mod golden;
mod parked;
mod pinned;
mod processes;
mod skipping;
mod support;
