//! Dead letters: events that cannot be projected are parked in `parked_events`, with the reason, and tried again.

pub(crate) mod event_to_park;
pub mod operator;
mod park;
mod retry_policy;

pub(crate) use event_to_park::Parked;
pub use park::{Parking, claim_due, park, postpone, settle};
pub use retry_policy::RetryPolicy;
