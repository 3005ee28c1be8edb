//! The aggregate.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use shared_events::{OrderChange, OrderEvent, OrderItem, OrderState, OrderStatus};
use uuid::Uuid;

use super::step::{fits, is_allowed, taken_from};
use super::{CancelReason, CustomerId, OrderLine, OrderLines, Shipment, Step, StepRefused};

/// The finest time that is kept.
const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);
/// The last microsecond of the year 9999, in microseconds since 1970. What is later cannot be read back.
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// An order. Its fields are private: what is not a valid order cannot be made, and every change comes with its event.
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

/// The parts of an order as storage keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOrder {
    /// Identity.
    pub id: Uuid,
    /// Who ordered.
    pub customer: CustomerId,
    /// What was ordered.
    pub lines: OrderLines,
    /// The total that was stored, in cents.
    pub total_cents: i64,
    /// Where the order stands.
    pub status: OrderStatus,
    /// 1 when placed, one more with each change.
    pub version: i32,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A stored order that breaks an invariant: somebody else has written to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorruptOrder {
    /// The stored total is not the sum of the lines.
    #[error("the stored total is {stored} cents, the lines add up to {lines}")]
    Total {
        /// What the row says, in cents.
        stored: i64,
        /// What its lines add up to, in cents.
        lines: i64,
    },
    /// The version is not one that an order with this status can have.
    #[error("version {version} does not fit status {status}")]
    Version {
        /// What the row says.
        version: i32,
        /// What the row says.
        status: OrderStatus,
    },
}

impl Order {
    /// Places an order, as version 1. `now` is cut to the microsecond, which is what PostgreSQL keeps: an order that was
    /// stored and read back is the same order.
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

    /// An order as it was stored.
    ///
    /// # Errors
    ///
    /// [`CorruptOrder`] when the parts contradict each other.
    pub fn restore(stored: StoredOrder) -> Result<Self, CorruptOrder> {
        let StoredOrder { id, customer, lines, total_cents, status, version, placed_at, updated_at } = stored;
        if lines.total().get() != total_cents {
            return Err(CorruptOrder::Total { stored: total_cents, lines: lines.total().get() });
        }
        if !fits(status, version) {
            return Err(CorruptOrder::Version { version, status });
        }
        Ok(Self { id, customer, lines, status, version, placed_at, updated_at })
    }

    /// The order is paid.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also where it was paid before.
    pub fn pay(&self, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        self.take(&Step::Pay, now)
    }

    /// The order leaves the warehouse.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also where it was shipped before.
    pub fn ship(&self, shipment: Shipment, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        self.take(&Step::Ship(shipment), now)
    }

    /// The order reaches the customer.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also where it was delivered before.
    pub fn deliver(&self, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        self.take(&Step::Deliver, now)
    }

    /// The order is called off.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also where it was cancelled before.
    pub fn cancel(
        &self,
        reason: Option<CancelReason>,
        now: DateTime<Utc>,
    ) -> Result<(Self, OrderEvent), StepRefused> {
        self.take(&Step::Cancel(reason), now)
    }

    /// Takes any step: the order after it, one version further, and the event that tells of it. Its time is `now`, but later
    /// than the last change of the order: clocks of replicas differ, and no change may seem to come before an earlier one.
    ///
    /// # Errors
    ///
    /// [`StepRefused`], also where the step was taken before.
    pub fn take(&self, step: &Step, now: DateTime<Utc>) -> Result<(Self, OrderEvent), StepRefused> {
        let (from, to) = (self.status, step.target());
        if let Some(from_version) = taken_from(from, self.version, to) {
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
        let event = order.event(step.change());
        Ok((order, event))
    }

    /// The event that tells the order's state once more; it is no step, and changes nothing.
    #[must_use]
    pub fn republished(&self) -> OrderEvent {
        self.event(OrderChange::Republished)
    }

    /// Whether placing `lines` for `customer` is what made this order: a repeat of that request is this order again.
    #[must_use]
    pub fn was_placed_with(&self, customer: &CustomerId, lines: &OrderLines) -> bool {
        self.customer == *customer && self.lines == *lines
    }

    /// Identity.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Who ordered.
    #[must_use]
    pub fn customer(&self) -> &CustomerId {
        &self.customer
    }

    /// What was ordered, with its total.
    #[must_use]
    pub fn lines(&self) -> &OrderLines {
        &self.lines
    }

    /// Where the order stands.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        self.status
    }

    /// 1 when placed, one more with each change.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.version
    }

    /// When it was placed, to the microsecond.
    #[must_use]
    pub fn placed_at(&self) -> DateTime<Utc> {
        self.placed_at
    }

    /// When it last changed, to the microsecond.
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
