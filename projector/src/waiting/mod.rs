//! Waiting events: events whose row in a read model another session has locked. They are set aside in `waiting_events`
//! until the lock ends, so that all other events flow.
//!
//! | File | Holds |
//! |---|---|
//! | `queries` | the statements |
//! | `schedule` | which waiting events are tried next |
//! | `rounds` | how far each round through them has come |

mod queries;
mod rounds;
mod schedule;

pub use queries::{
    NewWaitingEvent, Window, claim_unlocked, claim_without_row, is_any, remove, set_aside, window,
};
pub use rounds::WINDOW;
pub(crate) use schedule::{Schedule, TRIAL_BATCH};
