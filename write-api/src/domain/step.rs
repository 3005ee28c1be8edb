//! The steps of an order after it was placed.

use chrono::{DateTime, Utc};
use shared_events::{OrderEvent, OrderStatus};

use super::{CancelReason, Carrier, Order, TrackingNumber};

/// A step in an order's life: `placed → paid → shipped → delivered`, or `cancelled` from the first two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Pay,
    Ship(Shipment),
    Deliver,
    Cancel(Option<CancelReason>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shipment {
    pub carrier: Option<Carrier>,
    pub tracking_number: Option<TrackingNumber>,
}

/// A detail that a step may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Carrier,
    TrackingNumber,
    Reason,
}

/// Why a step is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepRefused {
    /// The order has already taken this step: a repeat changes nothing.
    #[error("the step was taken before, from version {from_version}")]
    AlreadyTaken {
        /// The version before the step.
        from_version: i32,
    },
    /// The order has already taken this step, with other details: it keeps the first ones.
    #[error("the step was taken before with other details, from version {from_version}")]
    TakenWithOtherDetails {
        /// The version before the step.
        from_version: i32,
        /// What this step has and the first one had not.
        differing: Vec<Detail>,
    },
    /// The order's status does not allow the step.
    #[error("an order that is {from} cannot become {to}")]
    Forbidden { from: OrderStatus, to: OrderStatus },
}

impl Step {
    /// The order after this step, and the step's event.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also if the order has already taken the step.
    pub fn apply(&self, order: &Order, now: DateTime<Utc>) -> Result<(Order, OrderEvent), StepRefused> {
        match self {
            Self::Pay => order.pay(now),
            Self::Ship(shipment) => order.ship(shipment, now),
            Self::Deliver => order.deliver(now),
            Self::Cancel(reason) => order.cancel(reason.as_ref(), now),
        }
    }
}

/// Whether a step from one status to another is allowed.
pub(super) fn is_allowed(from: OrderStatus, to: OrderStatus) -> bool {
    use OrderStatus::{Cancelled, Delivered, Paid, Placed, Shipped};
    matches!((from, to), (Placed, Paid) | (Paid, Shipped) | (Shipped, Delivered) | (Placed | Paid, Cancelled))
}

/// Whether an order with this status can have this version. The number of steps to a status determines the version.
pub(super) fn version_fits(status: OrderStatus, version: i32) -> bool {
    match status {
        OrderStatus::Placed => version == 1,
        OrderStatus::Paid => version == 2,
        OrderStatus::Shipped => version == 3,
        OrderStatus::Delivered => version == 4,
        OrderStatus::Cancelled => version == 2 || version == 3,
    }
}

/// The version before the step to `target`, if an order with this status and version has taken that step. Status and
/// version determine it: a delivered order was shipped before, and an order that was cancelled as version 3 was paid
/// before.
pub(super) fn version_before(status: OrderStatus, version: i32, target: OrderStatus) -> Option<i32> {
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
