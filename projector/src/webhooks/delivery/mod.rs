//! Deliveries: events that wait to be sent to an endpoint.
//!
//! | File | Holds |
//! |---|---|
//! | `backlog` | what a process knows of what waits |
//! | `settled` | … and why that misses nothing |
//! | `rooms` | how many deliveries may be added |
//! | `insert` | adds deliveries, parks events that cannot be delivered |
//! | `take` | leases deliveries that are due |
//! | `finish` | records what became of requests |
//! | `health` | … on the endpoint |
//! | `results` | … on the deliveries |
//!
//! A lease ends by itself when its process dies. Then another process sends the event again, with the same id. The
//! fencing number keeps the first process, should it still be alive, from changing what the second one does.

mod backlog;
mod finish;
mod health;
mod insert;
mod results;
mod rooms;
mod settled;
mod take;

pub use backlog::{Asked, Backlogs, CROWDED};
pub use finish::{Finished, FinishedAttempt, Streak, finish};
pub use health::{EndpointState, PausedReason};
pub use insert::{NewDelivery, Unusable, insert, park_unusable};
pub use rooms::{DUE_MAX, UNTRIED_MAX, rooms};
pub use settled::Writers;
pub use take::{Leased, Limits, Take, Taken, take};
