//! The aggregate: the only code that changes an order.

mod event;
mod step_facts;
mod stored;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use shared_events::{OrderChange, OrderEvent, OrderStatus};
use uuid::Uuid;

pub use self::step_facts::StepFacts;
pub use self::stored::{CorruptOrder, StoredOrder};
use super::step::{is_allowed, version_before};
use super::{CancelReason, Currency, CustomerId, Detail, OrderLines, Shipment, StepRefused};

/// The resolution of times.
const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);
/// The last microsecond of the year 9999, in microseconds since 1970. Later times could not be read back.
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// An order. Its fields are private: an invalid order cannot be created, and every change returns its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    id: Uuid,
    customer: CustomerId,
    lines: OrderLines,
    currency: Option<Currency>,
    status: OrderStatus,
    version: i32,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    steps: StepFacts,
    /// An older build, which stored no details, has shipped or cancelled the order.
    details_unknown: bool,
}

/// What a request to place an order has and the stored order with the same id has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentDifference {
    /// Another customer.
    Customer,
    /// Other lines.
    Lines,
    /// Only another currency: one of both may have none.
    Currency,
}

impl Order {
    /// Places an order, as version 1. `now` is truncated to microseconds, PostgreSQL's resolution, so that a stored
    /// order equals the original.
    #[must_use]
    pub fn place(
        id: Uuid,
        customer: CustomerId,
        lines: OrderLines,
        currency: Option<Currency>,
        now: DateTime<Utc>,
    ) -> (Self, OrderEvent) {
        let now = now.trunc_subsecs(6);
        let order = Self {
            id,
            customer,
            lines,
            currency,
            status: OrderStatus::Placed,
            version: 1,
            placed_at: now,
            updated_at: now,
            steps: StepFacts::default(),
            details_unknown: false,
        };
        let event = order.event(OrderChange::Placed);
        (order, event)
    }

    /// The customer pays the order.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also if the order has already been paid.
    pub fn pay(&self, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        self.advance(OrderStatus::Paid, OrderChange::Paid, now, Vec::new, |_| {})
    }

    /// The order leaves the warehouse.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also if the order has already been shipped.
    pub fn ship(&self, shipment: &Shipment, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        let kept = &self.steps.shipment;
        let differing = || {
            let carrier = differs(shipment.carrier.as_ref(), kept.carrier.as_ref());
            let tracking_number = differs(shipment.tracking_number.as_ref(), kept.tracking_number.as_ref());
            [(carrier, Detail::Carrier), (tracking_number, Detail::TrackingNumber)]
                .into_iter()
                .filter_map(|(differs, detail)| differs.then_some(detail))
                .collect()
        };
        self.advance(OrderStatus::Shipped, OrderChange::Shipped, now, differing, |steps| {
            steps.shipment = shipment.clone();
        })
    }

    /// The order reaches the customer.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also if the order has already been delivered.
    pub fn deliver(&self, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        self.advance(OrderStatus::Delivered, OrderChange::Delivered, now, Vec::new, |_| {})
    }

    /// The order is cancelled before it is shipped.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also if the order has already been cancelled.
    pub fn cancel(
        &self,
        reason: Option<&CancelReason>,
        now: DateTime<Utc>,
    ) -> Result<(Self, OrderEvent), StepRefused> {
        let differing = || {
            let differs = differs(reason, self.steps.cancel_reason.as_ref());
            differs.then_some(Detail::Reason).into_iter().collect()
        };
        self.advance(OrderStatus::Cancelled, OrderChange::Cancelled, now, differing, |steps| {
            steps.cancel_reason = reason.cloned();
        })
    }

    /// The order in its next version, and the event of the change. The time of the change is `now`, but later than the
    /// previous change (up to the last time that can be stored): the clocks of replicas differ, and times must not
    /// contradict versions. `differing` compares the details of a repeat with those that the order has; `add` adds them
    /// to an order without the step.
    fn advance(
        &self,
        to: OrderStatus,
        change: OrderChange,
        now: DateTime<Utc>,
        differing: impl FnOnce() -> Vec<Detail>,
        add: impl FnOnce(&mut StepFacts),
    ) -> Result<(Self, OrderEvent), StepRefused> {
        let from = self.status;
        if let Some(from_version) = version_before(from, self.version, to) {
            let differing = if self.details_unknown { Vec::new() } else { differing() };
            return Err(if differing.is_empty() {
                StepRefused::AlreadyTaken { from_version }
            } else {
                StepRefused::TakenWithOtherDetails { from_version, differing }
            });
        }
        if !is_allowed(from, to) {
            return Err(StepRefused::Forbidden { from, to });
        }
        let after_last = self
            .updated_at
            .checked_add_signed(MICROSECOND)
            .filter(|next| next.timestamp_micros() <= LAST_MICROS)
            .unwrap_or(self.updated_at);
        let updated_at = now.trunc_subsecs(6).max(after_last);
        let mut order = Self { status: to, version: self.version + 1, updated_at, ..self.clone() };
        if let Some(time) = order.steps.time_of(to) {
            *time = Some(updated_at);
        }
        add(&mut order.steps);
        let event = order.event(change);
        Ok((order, event))
    }

    /// An event with the order's current state. It is not a step and changes nothing.
    #[must_use]
    pub fn republished(&self) -> OrderEvent {
        self.event(OrderChange::Republished)
    }

    /// What differs from a request to place an order with this id. If nothing differs, the request is a repeat.
    #[must_use]
    pub fn difference_from(
        &self,
        customer: &CustomerId,
        lines: &OrderLines,
        currency: Option<Currency>,
    ) -> Option<ContentDifference> {
        if self.customer != *customer {
            Some(ContentDifference::Customer)
        } else if self.lines != *lines {
            Some(ContentDifference::Lines)
        } else {
            (self.currency != currency).then_some(ContentDifference::Currency)
        }
    }

    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    #[must_use]
    pub fn customer(&self) -> &CustomerId {
        &self.customer
    }

    /// The ordered items, with their total.
    #[must_use]
    pub fn lines(&self) -> &OrderLines {
        &self.lines
    }

    /// The currency of all amounts, if the request named it.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.currency
    }

    /// What the steps have added.
    #[must_use]
    pub fn steps(&self) -> &StepFacts {
        &self.steps
    }

    /// When the order was shipped; `None` if an older build shipped it and did not store the details. A row without the
    /// time shows later that the details of a repeat cannot be compared. The time is in the event.
    #[must_use]
    pub fn shipped_at_to_store(&self) -> Option<DateTime<Utc>> {
        self.steps.shipped_at.filter(|_| !self.details_unknown)
    }

    /// The order's status.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        self.status
    }

    /// 1 when placed, increased by 1 with each change.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.version
    }

    /// When the order was placed, in microseconds.
    #[must_use]
    pub fn placed_at(&self) -> DateTime<Utc> {
        self.placed_at
    }

    /// When the order last changed, in microseconds.
    #[must_use]
    pub fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Whether a repeat has another detail. A repeat without it agrees with any.
fn differs<T: PartialEq>(given: Option<&T>, kept: Option<&T>) -> bool {
    given.is_some() && given != kept
}

#[cfg(test)]
mod tests;
