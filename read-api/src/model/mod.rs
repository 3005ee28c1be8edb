//! What screens ask for and show.

mod mark;
mod order_status;
mod order_summary;
mod page;
mod read_position;

pub use mark::{History, Mark, NotAMark};
pub use order_status::OrderStatus;
pub use order_summary::OrderSummary;
pub use page::{Filter, Page, PageRequest, Position};
pub use read_position::{ReadPosition, merged, width};
