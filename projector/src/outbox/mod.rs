//! The outbox: events that are not projected yet.
//!
//! `claim` deletes events in the transaction that applies them. [`low_water_mark`] says where claims start.

mod claim;
mod claimed_event;
pub mod low_water_mark;

pub use claim::claim;
pub use claimed_event::{ClaimLimits, ClaimedEvent, Origin};
pub(crate) use low_water_mark::LowWaterMark;
