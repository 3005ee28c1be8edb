//! What the steps add to an order.

use chrono::{DateTime, Utc};
use shared_events::OrderStatus;

use crate::domain::{CancelReason, Shipment};

/// What the steps have added to an order. Each is set once, by its step, and never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepFacts {
    pub paid_at: Option<DateTime<Utc>>,
    pub shipped_at: Option<DateTime<Utc>>,
    pub shipment: Shipment,
    pub delivered_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub cancel_reason: Option<CancelReason>,
}

impl StepFacts {
    /// The column of a fact whose step does not lead to this status and version, if there is one. Facts may be missing
    /// in every status: older builds stored none. The CHECKs of `orders` repeat this rule.
    pub(super) fn misplaced(&self, status: OrderStatus, version: i32) -> Option<&'static str> {
        use OrderStatus::{Cancelled, Delivered, Paid, Shipped};
        let was_paid = matches!(status, Paid | Shipped | Delivered) || (status, version) == (Cancelled, 3);
        let was_shipped = matches!(status, Shipped | Delivered);
        [
            ("paid_at", self.paid_at.is_some(), was_paid),
            ("shipped_at", self.shipped_at.is_some(), was_shipped),
            ("carrier", self.shipment.carrier.is_some(), was_shipped),
            ("tracking_number", self.shipment.tracking_number.is_some(), was_shipped),
            ("delivered_at", self.delivered_at.is_some(), status == Delivered),
            ("cancelled_at", self.cancelled_at.is_some(), status == Cancelled),
            ("cancel_reason", self.cancel_reason.is_some(), status == Cancelled),
        ]
        .into_iter()
        .find_map(|(column, is_there, is_allowed)| (is_there && !is_allowed).then_some(column))
    }

    /// The time of the step to this status. An order with this status has no other times of later steps.
    pub(super) fn time_of(&mut self, status: OrderStatus) -> Option<&mut Option<DateTime<Utc>>> {
        match status {
            OrderStatus::Placed => None,
            OrderStatus::Paid => Some(&mut self.paid_at),
            OrderStatus::Shipped => Some(&mut self.shipped_at),
            OrderStatus::Delivered => Some(&mut self.delivered_at),
            OrderStatus::Cancelled => Some(&mut self.cancelled_at),
        }
    }
}
