//! Dead letters: events that cannot be projected are parked in `parked_events`, with the reason, and tried again.
//!
//! | File | Holds |
//! |---|---|
//! | `dead_letter` | an event to park, with its reason |
//! | `columns` | parked events as the columns of a statement |
//! | `park` | parks events, and records further attempts |
//! | `claim` | claims parked events that are due |
//! | `retry_policy` | when a parked event is tried again |
//! | [`operator`] | what `projector parked …` queries and changes; `of_claim` and `of_subscription` for each owner |

mod claim;
mod columns;
mod dead_letter;
mod of_claim;
mod of_subscription;
pub mod operator;
mod park;
mod retry_policy;

pub use claim::claim;
pub(crate) use claim::{ClaimTypes, claimed};
pub(crate) use columns::Columns;
pub(crate) use dead_letter::{DeadLetter, log};
pub(crate) use park::{park, park_again, postpone, remove};
pub use retry_policy::RetryPolicy;
