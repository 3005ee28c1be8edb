//! The `Order` aggregate and its values. Pure: no HTTP, no SQL, no clock, no randomness; time and ids are passed in.

mod identifier;
mod money;
mod order;
mod order_line;

pub use identifier::{CustomerId, IdentifierError, Sku};
pub use money::{Cents, NegativePrice};
pub use order::{CorruptOrder, Order, StoredOrder};
pub use order_line::{LineTotalTooLarge, LinesError, OrderLine, OrderLines, Quantity, QuantityError};
