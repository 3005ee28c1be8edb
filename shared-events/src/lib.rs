//! The contract between the write side and the projections: the events and their wire format.
//!
//! # Promises
//!
//! - Every event contains the change ([`OrderChange`]) **and** the order after it: its state ([`OrderState`]) and its
//!   facts ([`OrderFacts`]). A read model takes the state with the highest version, and each fact from any event that
//!   carries it. So duplicates, reordering and gaps lead to the same row, and a projection never needs to query the
//!   write side.
//! - Each version of an order has one event of its change, and any number of `order_republished` events.
//!   [`OrderEvent::new`] derives `event_id` from order id, version and whether the event is a republish, so that
//!   building an event twice gives the same event.
//! - Later builds only add fields. A reader ignores fields that it does not know.
//! - An unknown kind or a newer `schema_version` is an [`UndecodableEvent`], which keeps the payload unchanged. The
//!   event can be parked and decoded later. It is never dropped.
//!
//! `tests/golden/` freezes the JSON of each kind, and `tests/contract.rs` fails if the format changes. Events of older
//! builds are upcast: the files without facts show what that gives.

mod order_facts;
mod order_state;
#[cfg(feature = "schema")]
mod schema;
mod wire;

pub use order_facts::{OrderFacts, OrderItem};
pub use order_state::{OrderState, OrderStatus, UnknownOrderStatus};
#[cfg(feature = "schema")]
pub use schema::schema;
pub use wire::{DecodeReason, EncodeError, EncodedEvent, UndecodableEvent};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The `schema_version` that [`OrderEvent::encode`] writes, and the highest that [`OrderEvent::decode`] reads.
pub const SCHEMA_VERSION: u64 = 1;

/// A change of one order, with the order after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderEvent {
    /// The same in every copy of the event.
    pub event_id: Uuid,
    /// When the write side made the change, in microseconds. For information only: versions order events, clocks do
    /// not.
    pub occurred_at: DateTime<Utc>,
    /// The order's state after the change.
    pub order: OrderState,
    /// What has been set once, up to this change.
    pub facts: OrderFacts,
    /// The change.
    pub change: OrderChange,
}

/// The kinds of change. What a change adds to the order stands in [`OrderFacts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OrderChange {
    /// The order was accepted.
    Placed,
    /// The order was paid.
    Paid,
    /// The order left the warehouse.
    Shipped,
    /// The order reached the customer.
    Delivered,
    /// The order was cancelled.
    Cancelled,
    /// No change: the event repeats the order's current state, to repair or fill a read model. A projection that counts
    /// changes ignores these events.
    Republished,
}

impl OrderEvent {
    /// The event of `order`'s current version. `event_id` is derived from order id and version (UUIDv5). Republished
    /// events of a version share an id, which differs from the id of the original event.
    #[must_use]
    pub fn new(
        order: OrderState,
        facts: OrderFacts,
        change: OrderChange,
        occurred_at: DateTime<Utc>,
    ) -> Self {
        let prefix: &[u8] = if change == OrderChange::Republished { b"republished" } else { b"" };
        let event_id = Uuid::new_v5(&order.order_id, &[prefix, &order.version.to_be_bytes()].concat());
        Self { event_id, occurred_at, order, facts, change }
    }

    /// The stored name of this kind of event, such as `order_placed`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.change.kind()
    }
}

impl OrderChange {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Placed, Self::Paid, Self::Shipped, Self::Delivered, Self::Cancelled, Self::Republished];

    /// The stored name of this kind, such as `order_placed`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Placed => "order_placed",
            Self::Paid => "order_paid",
            Self::Shipped => "order_shipped",
            Self::Delivered => "order_delivered",
            Self::Cancelled => "order_cancelled",
            Self::Republished => "order_republished",
        }
    }

    /// The change with this stored name.
    #[must_use]
    pub fn from_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.kind() == kind)
    }
}
