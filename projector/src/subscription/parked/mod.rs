//! The dead letters of a subscription, in `subscription_parked`. They are tried again on their own, and delay no other
//! event.

mod queries;
mod skipped;
mod source;

pub(super) use queries::park;
pub use skipped::skipped_due;
pub(super) use skipped::{SkippedEvent, claim_skipped, leave_for_operator, remove};
pub(super) use source::ParkedSource;
