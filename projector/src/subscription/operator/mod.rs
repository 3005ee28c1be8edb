//! What an operator queries and changes.
//!
//! Each change locks the subscription, so it waits for the worker's batch, and the worker's next batch sees it.

mod change;
mod error;
mod moves;
mod queries;
mod state;
mod status;

pub use change::{ChangeError, change};
pub use error::OperatorError;
pub use moves::{Moved, Skipped, To, rewind, skip_next, skip_to};
pub use state::{pause, remove, resume};
pub use status::{SubscriptionStatus, find, list};
