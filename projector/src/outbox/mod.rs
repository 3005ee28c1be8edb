//! The outbox: claiming events, and the low-water mark at which claims begin.

mod claim;
pub(crate) mod claimed_event;
pub mod low_water_mark;

pub use claim::claim;
pub use claimed_event::{ClaimLimits, ClaimedEvent, Origin};
pub(crate) use low_water_mark::Frontier;
