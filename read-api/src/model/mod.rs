//! What screens ask for and show.

mod order_status;
mod order_summary;
mod page;

pub use order_status::OrderStatus;
pub use order_summary::OrderSummary;
pub use page::{Filter, Page, PageRequest, Position};
