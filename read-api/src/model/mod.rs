//! What screens show.

mod order_summary;

pub use order_summary::OrderSummary;
