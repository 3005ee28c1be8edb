//! The contract between the write side and the projections: what an event says, and how it is written down.
//!
//! # Promises
//!
//! - Every event says what happened ([`OrderChange`]) **and** carries the order's state after it
//!   ([`OrderState`]). A summary is therefore "the state with the highest version": duplicates,
//!   reordering and gaps all end in the same row, and no reader needs to ask the write side anything.
//! - One `(order_id, version)` pair has exactly one event, and [`OrderEvent::new`] derives `event_id`
//!   from the two, so that an event that is built twice is the same event.
//! - Fields are only ever added. A reader ignores fields that it does not know.
//! - A kind or a `schema_version` that a reader does not know is an [`UndecodableEvent`] which keeps the
//!   payload as it came, so that the event can be set aside and read again later. It is never dropped.
//!
//! `tests/golden/` freezes the JSON of each kind; `tests/contract.rs` fails on any drift.

mod order_state;
mod wire;

pub use order_state::{OrderItem, OrderState, OrderStatus, UnknownOrderStatus};
pub use wire::{DecodeReason, EncodeError, EncodedEvent, UndecodableEvent};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The `schema_version` that [`OrderEvent::encode`] writes, and the highest that [`OrderEvent::decode`] reads.
pub const SCHEMA_VERSION: u64 = 1;

/// Something that happened to one order, with the order's state after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEvent {
    /// Identity of the event; the same for every copy of it.
    pub event_id: Uuid,
    /// When the write side took the decision, to the microsecond. Informative: versions order events, clocks do not.
    pub occurred_at: DateTime<Utc>,
    /// The order after the change.
    pub order: OrderState,
    /// What happened.
    pub change: OrderChange,
}

/// What happened to an order, with what only this kind of event tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderChange {
    /// The order was accepted.
    Placed {
        /// All items, in the order in which the customer gave them.
        items: Vec<OrderItem>,
    },
    /// The order was paid.
    Paid,
    /// The order left the warehouse.
    Shipped {
        /// Who carries it, where that was told.
        carrier: Option<String>,
        /// The carrier's tracking number, where that was told.
        tracking_number: Option<String>,
    },
    /// The order reached the customer.
    Delivered,
    /// The order was called off.
    Cancelled {
        /// Why, in the caller's words, where that was told.
        reason: Option<String>,
    },
    /// Nothing happened: the order's current state is told once more, to repair or to fill a read model. A projection
    /// that adds up what happens leaves these out.
    Republished,
}

impl OrderEvent {
    /// The event of `order`'s current version, with an `event_id` derived from order id and version (UUIDv5); a
    /// republished event has an id of its own, which is the same whenever this version is republished.
    #[must_use]
    pub fn new(order: OrderState, change: OrderChange, occurred_at: DateTime<Utc>) -> Self {
        let prefix: &[u8] = if change == OrderChange::Republished { b"republished" } else { b"" };
        let event_id = Uuid::new_v5(&order.order_id, &[prefix, &order.version.to_be_bytes()].concat());
        Self { event_id, occurred_at, order, change }
    }

    /// The name under which this event is stored, such as `order_placed`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.change.kind()
    }
}

impl OrderChange {
    /// Every kind of event, by the name under which it is stored.
    pub const KINDS: [&str; 6] = [
        "order_placed",
        "order_paid",
        "order_shipped",
        "order_delivered",
        "order_cancelled",
        "order_republished",
    ];

    /// The name under which events of this kind are stored.
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
