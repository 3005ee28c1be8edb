//! What screens ask for and show.

mod mark;
mod order_status;
mod order_summary;
mod page;

pub use mark::{History, Mark, NotAMark};
pub use order_status::OrderStatus;
pub use order_summary::OrderSummary;
pub use page::{Filter, Page, PageRequest, Position};
