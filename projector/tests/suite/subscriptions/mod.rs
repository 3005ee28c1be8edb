//! Subscriptions to the event log.

mod commands;
mod exact;
mod support;
