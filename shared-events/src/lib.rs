//! The contract between the write side and the projections: the events and their wire format.
//!
//! # Promises
//!
//! - Every event contains the change ([`OrderChange`]) **and** the order's state after it ([`OrderState`]). A summary
//!   is the state with the highest version, so duplicates, reordering and gaps lead to the same row, and a projection
//!   never needs to query the write side.
//! - Each version of an order has one event of its change, and any number of `order_republished` events.
//!   [`OrderEvent::new`] derives `event_id` from order id, version and whether the event is a republish, so that
//!   building an event twice gives the same event.
//! - Later builds only add fields. A reader ignores fields that it does not know.
//! - An unknown kind or a newer `schema_version` is an [`UndecodableEvent`], which keeps the payload unchanged. The
//!   event can be parked and decoded later. It is never dropped.
//!
//! `tests/golden/` freezes the JSON of each kind, and `tests/contract.rs` fails if the format changes.

mod order_state;
mod wire;

pub use order_state::{OrderItem, OrderState, OrderStatus, UnknownOrderStatus};
pub use wire::{DecodeReason, EncodeError, EncodedEvent, UndecodableEvent};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The `schema_version` that [`OrderEvent::encode`] writes, and the highest that [`OrderEvent::decode`] reads.
pub const SCHEMA_VERSION: u64 = 1;

/// A change of one order, with the order's state after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEvent {
    /// The same in every copy of the event.
    pub event_id: Uuid,
    /// When the write side made the change, in microseconds. For information only: versions order events, clocks do
    /// not.
    pub occurred_at: DateTime<Utc>,
    /// The order after the change.
    pub order: OrderState,
    /// The change.
    pub change: OrderChange,
}

/// The kinds of change, each with its own fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderChange {
    /// The order was accepted.
    Placed {
        /// All items, in the sequence of the request.
        items: Vec<OrderItem>,
    },
    /// The order was paid.
    Paid,
    /// The order left the warehouse.
    Shipped {
        /// The carrier, if the request named it.
        carrier: Option<String>,
        /// The carrier's tracking number, if the request had one.
        tracking_number: Option<String>,
    },
    /// The order reached the customer.
    Delivered,
    /// The order was cancelled.
    Cancelled {
        /// The reason, if the request had one.
        reason: Option<String>,
    },
    /// No change: the event repeats the order's current state, to repair or fill a read model. A projection that counts
    /// changes ignores these events.
    Republished,
}

impl OrderEvent {
    /// The event of `order`'s current version. `event_id` is derived from order id and version (UUIDv5). Republished
    /// events of a version share an id, which differs from the id of the original event.
    #[must_use]
    pub fn new(order: OrderState, change: OrderChange, occurred_at: DateTime<Utc>) -> Self {
        let prefix: &[u8] = if change == OrderChange::Republished { b"republished" } else { b"" };
        let event_id = Uuid::new_v5(&order.order_id, &[prefix, &order.version.to_be_bytes()].concat());
        Self { event_id, occurred_at, order, change }
    }

    /// The stored name of this kind of event, such as `order_placed`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.change.kind()
    }
}

impl OrderChange {
    /// The stored names of all kinds.
    pub const KINDS: [&str; 6] = [
        "order_placed",
        "order_paid",
        "order_shipped",
        "order_delivered",
        "order_cancelled",
        "order_republished",
    ];

    /// The stored name of this kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Placed { .. } => "order_placed",
            Self::Paid => "order_paid",
            Self::Shipped { .. } => "order_shipped",
            Self::Delivered => "order_delivered",
            Self::Cancelled { .. } => "order_cancelled",
            Self::Republished => "order_republished",
        }
    }
}
