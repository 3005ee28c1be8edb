//! The aggregate: the only code that changes an order.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use shared_events::{OrderChange, OrderEvent, OrderItem, OrderState, OrderStatus};
use uuid::Uuid;

use super::step::{is_allowed, version_before, version_fits};
use super::{
    CancelReason, Carrier, CustomerId, OrderLine, OrderLines, Shipment, StepRefused, TrackingNumber,
};

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
    status: OrderStatus,
    version: i32,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOrder {
    pub id: Uuid,
    pub customer: CustomerId,
    pub lines: OrderLines,
    pub total_cents: i64,
    pub status: OrderStatus,
    /// 1 when placed, increased by 1 with each change.
    pub version: i32,
    pub placed_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A stored order that breaks an invariant: another program has written to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorruptOrder {
    /// The stored total is not the sum of the lines.
    #[error("the stored total is {stored} cents, the lines add up to {lines}")]
    Total {
        stored: i64,
        /// The sum of the lines, in cents.
        lines: i64,
    },
    /// No order with this status has this version.
    #[error("version {version} does not fit status {status}")]
    Version { version: i32, status: OrderStatus },
}

impl Order {
    /// Places an order, as version 1. `now` is truncated to microseconds, PostgreSQL's resolution, so that a stored
    /// order equals the original.
    #[must_use]
    pub fn place(
        id: Uuid,
        customer: CustomerId,
        lines: OrderLines,
        now: DateTime<Utc>,
    ) -> (Self, OrderEvent) {
        let now = now.trunc_subsecs(6);
        let order = Self {
            id,
            customer,
            lines,
            status: OrderStatus::Placed,
            version: 1,
            placed_at: now,
            updated_at: now,
        };
        let items = order.lines.as_slice().iter().map(event_item).collect();
        let event = order.event(OrderChange::Placed { items });
        (order, event)
    }

    /// Rebuilds an order from its stored fields.
    ///
    /// # Errors
    ///
    /// [`CorruptOrder`] if the fields contradict each other.
    pub fn restore(stored: StoredOrder) -> Result<Self, CorruptOrder> {
        let StoredOrder { id, customer, lines, total_cents, status, version, placed_at, updated_at } = stored;
        if lines.total().get() != total_cents {
            return Err(CorruptOrder::Total { stored: total_cents, lines: lines.total().get() });
        }
        if !version_fits(status, version) {
            return Err(CorruptOrder::Version { version, status });
        }
        Ok(Self { id, customer, lines, status, version, placed_at, updated_at })
    }

    /// The customer pays the order.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also if the order has already been paid.
    pub fn pay(&self, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        self.advance(OrderStatus::Paid, OrderChange::Paid, now)
    }

    /// The order leaves the warehouse.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also if the order has already been shipped.
    pub fn ship(&self, shipment: &Shipment, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        let carrier = shipment.carrier.as_ref().map(Carrier::as_str).map(str::to_owned);
        let tracking_number =
            shipment.tracking_number.as_ref().map(TrackingNumber::as_str).map(str::to_owned);
        self.advance(OrderStatus::Shipped, OrderChange::Shipped { carrier, tracking_number }, now)
    }

    /// The order reaches the customer.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also if the order has already been delivered.
    pub fn deliver(&self, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        self.advance(OrderStatus::Delivered, OrderChange::Delivered, now)
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
        let reason = reason.map(CancelReason::as_str).map(str::to_owned);
        self.advance(OrderStatus::Cancelled, OrderChange::Cancelled { reason }, now)
    }

    /// The order in its next version, and the event of the change. The time of the change is `now`, but later than the
    /// previous change (up to the last time that can be stored): the clocks of replicas differ, and times must not
    /// contradict versions.
    fn advance(
        &self,
        to: OrderStatus,
        change: OrderChange,
        now: DateTime<Utc>,
    ) -> Result<(Self, OrderEvent), StepRefused> {
        let from = self.status;
        if let Some(from_version) = version_before(from, self.version, to) {
            return Err(StepRefused::AlreadyTaken { from_version });
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
        let order = Self { status: to, version: self.version + 1, updated_at, ..self.clone() };
        let event = order.event(change);
        Ok((order, event))
    }

    /// An event with the order's current state. It is not a step and changes nothing.
    #[must_use]
    pub fn republished(&self) -> OrderEvent {
        self.event(OrderChange::Republished)
    }

    /// Whether the order was placed with this customer and these lines. Then a request to place them is a repeat.
    #[must_use]
    pub fn was_placed_with(&self, customer: &CustomerId, lines: &OrderLines) -> bool {
        self.customer == *customer && self.lines == *lines
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

    fn event(&self, change: OrderChange) -> OrderEvent {
        let state = OrderState {
            order_id: self.id,
            customer_id: self.customer.as_str().to_owned(),
            status: self.status,
            version: self.version,
            total_cents: self.lines.total().get(),
            item_count: self.lines.count(),
            last_item_sku: self.lines.last_sku().as_str().to_owned(),
            placed_at: self.placed_at,
        };
        OrderEvent::new(state, change, self.updated_at)
    }
}

fn event_item(line: &OrderLine) -> OrderItem {
    OrderItem {
        sku: line.sku().as_str().to_owned(),
        quantity: line.quantity().get(),
        price_cents: line.price().get(),
    }
}

#[cfg(test)]
mod tests;
