//! The use cases, one a file.

mod place_order;

pub use place_order::{PlaceOrder, PlaceOrderError, PlacedOrder};
