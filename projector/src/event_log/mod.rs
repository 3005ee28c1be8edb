//! The event log: every event that has left the outbox, read by position and without gaps.
//!
//! | File | Holds |
//! |---|---|
//! | `read` | one read after a position, with its query |
//! | `hole` | which events of a read may be delivered |
//! | `tail` | what the readers of a process share: one poller, and the hole at which they wait |
//! | `hole_watch` | how long readers have waited at a hole |
//! | [`settled`] | publishes how far ids are settled, and says where "now" is |
//! | `upkeep` | makes and drops partitions, and does what readers at a hole need |
//! | [`operator`] | what `projector log …` queries and changes |
//!
//! A trigger logs the events that a statement deletes from the outbox, in its transaction. An event's position is its
//! outbox id. Ids are allocated before transactions commit, so positions appear out of order, and some never appear: a
//! rollback leaves a hole.
//!
//! # When a reader passes a hole
//!
//! A run of positions without a hole is safe as it is: nothing can appear within it. A hole is passed only if one
//! snapshot shows both:
//!
//! 1. The hole is below the position in `event_log_settled`. A process publishes its [low-water
//!    mark](crate::outbox) there: all
//!    transactions that have allocated lower ids have ended, and none of these ids had an event in the outbox. So each
//!    was logged, or will never be used.
//! 2. No event of the hole is in the outbox. Ids can come late in spite of 1: inserted by hand, by a sequence with a
//!    cache, or by one that was set back. If the reader's snapshot does not show such an event in the outbox or in the
//!    log, its transaction commits later, and its claim sees the published position: the trigger logs it under a
//!    fresh position.
//!
//! So a long transaction delays readers only at a hole, and only if it writes to the outbox.
//!
//! # Order
//!
//! A later version of an order draws its id after the earlier one is committed, so positions of one order are in the
//! order of its versions. A republished event has the version that the order had then.

mod hole;
mod hole_watch;
pub mod operator;
mod read;
pub mod settled;
mod tail;
mod upkeep;

pub use read::{LogRead, LoggedEvent, ReadLimits, read};
pub use tail::EventLog;
pub(crate) use upkeep::Upkeep;
pub use upkeep::trigger_runs;
