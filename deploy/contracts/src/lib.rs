//! Compares contracts with what they promised before: the OpenAPI documents of the services, and the schemas of events
//! and webhooks. The README says how a contract may change.
//!
//! | Module | |
//! |---|---|
//! | [`openapi`], [`events`], [`message`] | the rules: what in the present document breaks users of the baseline |
//! | [`baseline`] | the committed baselines, their check and their update |
//! | [`changelog`] | the items under "Breaking", without which no baseline may break |
//!
//! All rules for schemas are one question: is everything that the sender may send right for the receiver? For input,
//! the sender is a client that knows the baseline, and the receiver the present service; for output it is the reverse.

pub mod baseline;
pub mod changelog;
mod comparison;
pub mod events;
pub mod message;
mod node;
pub mod openapi;
mod rule;
mod schema;

pub use rule::{Break, Rule};
