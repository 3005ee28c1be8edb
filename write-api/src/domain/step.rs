//! What can happen to an order after it was placed.

use shared_events::{OrderChange, OrderStatus};

use super::{CancelReason, Carrier, TrackingNumber};

/// A step of an order's life: `placed → paid → shipped → delivered`, or `cancelled` from the first two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The order was paid.
    Pay,
    /// The order left the warehouse.
    Ship(Shipment),
    /// The order reached the customer.
    Deliver,
    /// The order is called off.
    Cancel(Option<CancelReason>),
}

/// What is known of a shipment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shipment {
    /// Who carries it.
    pub carrier: Option<Carrier>,
    /// The carrier's number for it.
    pub tracking_number: Option<TrackingNumber>,
}

/// Why an order does not take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StepRefused {
    /// It has taken this step before: a repeat changes nothing.
    #[error("the step was taken before, from version {from_version}")]
    AlreadyTaken {
        /// The version that it was taken from.
        from_version: i32,
    },
    /// The status does not allow it.
    #[error("an order that is {from} cannot become {to}")]
    Forbidden {
        /// Where the order stands.
        from: OrderStatus,
        /// Where the step would lead.
        to: OrderStatus,
    },
}

impl Step {
    /// Where the step leads.
    #[must_use]
    pub fn target(&self) -> OrderStatus {
        match self {
            Self::Pay => OrderStatus::Paid,
            Self::Ship(_) => OrderStatus::Shipped,
            Self::Deliver => OrderStatus::Delivered,
            Self::Cancel(_) => OrderStatus::Cancelled,
        }
    }

    /// What the step's event tells.
    pub(super) fn change(&self) -> OrderChange {
        match self {
            Self::Pay => OrderChange::Paid,
            Self::Ship(Shipment { carrier, tracking_number }) => OrderChange::Shipped {
                carrier: carrier.as_ref().map(|carrier| carrier.as_str().to_owned()),
                tracking_number: tracking_number.as_ref().map(|number| number.as_str().to_owned()),
            },
            Self::Deliver => OrderChange::Delivered,
            Self::Cancel(reason) => {
                OrderChange::Cancelled { reason: reason.as_ref().map(|reason| reason.as_str().to_owned()) }
            }
        }
    }
}

/// Whether a step may lead from one status to another.
pub(super) fn is_allowed(from: OrderStatus, to: OrderStatus) -> bool {
    use OrderStatus::{Cancelled, Delivered, Paid, Placed, Shipped};
    matches!((from, to), (Placed, Paid) | (Paid, Shipped) | (Shipped, Delivered) | (Placed | Paid, Cancelled))
}

/// Whether an order with this status can have this version: each status has its place in the chain.
pub(super) fn fits(status: OrderStatus, version: i32) -> bool {
    match status {
        OrderStatus::Placed => version == 1,
        OrderStatus::Paid => version == 2,
        OrderStatus::Shipped => version == 3,
        OrderStatus::Delivered => version == 4,
        OrderStatus::Cancelled => version == 2 || version == 3,
    }
}

/// The version from which an order with this status and version took the step to `target`, if it ever did. The chain
/// leaves no doubt: what was delivered was shipped before, and what was cancelled as version 3 was paid before.
pub(super) fn taken_from(status: OrderStatus, version: i32, target: OrderStatus) -> Option<i32> {
    use OrderStatus::{Cancelled, Delivered, Paid, Placed, Shipped};
    match (target, status) {
        (Paid, Paid | Shipped | Delivered) => Some(1),
        (Paid, Cancelled) if version == 3 => Some(1),
        (Shipped, Shipped | Delivered) => Some(2),
        (Delivered, Delivered) => Some(3),
        (Cancelled, Cancelled) => Some(version - 1),
        (Placed | Paid | Shipped | Delivered | Cancelled, _) => None,
    }
}
