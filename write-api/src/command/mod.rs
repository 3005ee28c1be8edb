//! The use cases, one per file.

mod change_status;
mod place_order;
mod republish;

pub use change_status::{ChangeStatus, ChangeStatusError, ChangedOrder, Precondition};
pub use place_order::{PlaceOrder, PlaceOrderError, PlacedOrder};
pub use republish::{CLOCK_MARGIN, Progress, Republish, RepublishError};
