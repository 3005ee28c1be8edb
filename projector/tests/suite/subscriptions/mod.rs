//! Subscriptions to the event log.

mod exact;
mod support;
