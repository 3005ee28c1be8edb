//! The `Order` aggregate and its values. Pure: no HTTP, SQL, clock or randomness. Times and ids are arguments.

mod currency;
mod money;
mod order;
mod order_id;
mod order_line;
mod step;
mod text;

pub use currency::{Currency, CurrencyError};
pub use money::{AmountError, Cents};
pub use order::{ContentDifference, CorruptOrder, Order, StepFacts, StoredOrder};
pub use order_id::{OrderId, ReservedOrderId};
pub use order_line::{LineTotalTooLarge, LinesError, OrderLine, OrderLines, Quantity, QuantityError};
pub use step::{Detail, Shipment, Step, StepRefused};
pub use text::{CancelReason, Carrier, CustomerId, Sku, TextError, TrackingNumber};
