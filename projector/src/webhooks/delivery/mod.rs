//! Deliveries: events that wait to be sent to an endpoint.
//!
//! | File | Holds |
//! |---|---|
//! | `insert` | adds deliveries, counts those that wait, parks events that cannot be delivered |
//! | `take` | leases deliveries that are due |
//! | `finish` | records what became of requests |
//!
//! A lease ends by itself when its process dies. Then another process sends the event again, with the same id. The
//! fencing number keeps the first process, should it still be alive, from changing what the second one does.

mod finish;
mod insert;
mod take;

pub use finish::{EndpointState, Finished, FinishedAttempt, finish};
pub use insert::{NewDelivery, Unusable, count_waiting, insert, park_unusable};
pub use take::{Leased, Limits, Taken, take};
