//! The dead letters of a subscription, in `subscription_parked`. They are tried again on their own, and delay no other
//! event.

mod queries;
mod source;

pub(super) use queries::park;
pub(super) use source::ParkedSource;
