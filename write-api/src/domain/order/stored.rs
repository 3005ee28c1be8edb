//! The stored form of an order, and the way back from it.

use chrono::{DateTime, Utc};
use shared_events::OrderStatus;
use uuid::Uuid;

use super::super::step::version_fits;
use super::super::{Currency, CustomerId, OrderLines};
use super::{Order, StepFacts};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOrder {
    pub id: Uuid,
    pub customer: CustomerId,
    pub lines: OrderLines,
    /// The currency of the prices and the total, if the request named it.
    pub currency: Option<Currency>,
    /// The stored total, in the currency's minor unit.
    pub total_cents: i64,
    pub status: OrderStatus,
    /// 1 when placed, increased by 1 with each change.
    pub version: i32,
    pub placed_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// What the steps have added.
    pub steps: StepFacts,
}

/// A stored order that breaks an invariant: another program has written to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorruptOrder {
    /// The stored total is not the sum of the lines.
    #[error("the stored total is {stored}, the lines add up to {lines}")]
    Total {
        stored: i64,
        /// The sum of the lines, in the currency's minor unit.
        lines: i64,
    },
    /// No order with this status has this version.
    #[error("version {version} does not fit status {status}")]
    Version {
        /// The stored version.
        version: i32,
        /// The stored status.
        status: OrderStatus,
    },
    /// A fact of a step that the order has not taken.
    #[error("{column} does not fit status {status} and version {version}")]
    Fact {
        /// The column.
        column: &'static str,
        /// The stored version.
        version: i32,
        /// The stored status.
        status: OrderStatus,
    },
}

impl Order {
    /// Rebuilds an order from its stored fields. The time of the last step is `updated_at`, if an older build took the
    /// step and did not store its time.
    ///
    /// # Errors
    ///
    /// [`CorruptOrder`] if the fields contradict each other.
    pub fn restore(stored: StoredOrder) -> Result<Self, CorruptOrder> {
        let StoredOrder {
            id,
            customer,
            lines,
            currency,
            total_cents,
            status,
            version,
            placed_at,
            updated_at,
            mut steps,
        } = stored;
        if lines.total().get() != total_cents {
            return Err(CorruptOrder::Total { stored: total_cents, lines: lines.total().get() });
        }
        if !version_fits(status, version) {
            return Err(CorruptOrder::Version { version, status });
        }
        if let Some(column) = steps.misplaced(status, version) {
            return Err(CorruptOrder::Fact { column, version, status });
        }
        // The step with details always stores its time too.
        let details_unknown = match status {
            OrderStatus::Shipped | OrderStatus::Delivered => steps.shipped_at.is_none(),
            OrderStatus::Cancelled => steps.cancelled_at.is_none(),
            OrderStatus::Placed | OrderStatus::Paid => false,
        };
        if let Some(time) = steps.time_of(status) {
            time.get_or_insert(updated_at);
        }
        Ok(Self {
            id,
            customer,
            lines,
            currency,
            status,
            version,
            placed_at,
            updated_at,
            steps,
            details_unknown,
        })
    }
}
