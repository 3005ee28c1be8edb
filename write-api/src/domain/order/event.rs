//! The events of an order: its state, and what has been set once.

use shared_events::{OrderChange, OrderEvent, OrderFacts, OrderItem, OrderState};

use super::super::{CancelReason, Carrier, OrderLine, TrackingNumber};
use super::{Order, StepFacts};

impl Order {
    /// The event of a change that led to this state.
    pub(super) fn event(&self, change: OrderChange) -> OrderEvent {
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
        OrderEvent::new(state, self.facts(change), change, self.updated_at)
    }

    /// Everything that has been set once.
    fn facts(&self, change: OrderChange) -> OrderFacts {
        let StepFacts { paid_at, shipped_at, shipment, delivered_at, cancelled_at, cancel_reason } =
            &self.steps;
        OrderFacts {
            items: self.items_of(change),
            currency: self.currency.map(|currency| currency.as_str().to_owned()),
            carrier: shipment.carrier.as_ref().map(Carrier::as_str).map(str::to_owned),
            tracking_number: shipment.tracking_number.as_ref().map(TrackingNumber::as_str).map(str::to_owned),
            cancel_reason: cancel_reason.as_ref().map(CancelReason::as_str).map(str::to_owned),
            paid_at: *paid_at,
            shipped_at: *shipped_at,
            delivered_at: *delivered_at,
            cancelled_at: *cancelled_at,
        }
    }

    /// The items, for the events that carry them. A step leaves them out: they never change, and with 50 lines its
    /// event would be 7 times as large, and its WAL 1.6 times (`deploy/bench/RESULTS.md`).
    fn items_of(&self, change: OrderChange) -> Option<Vec<OrderItem>> {
        matches!(change, OrderChange::Placed | OrderChange::Republished)
            .then(|| self.lines.as_slice().iter().map(event_item).collect())
    }
}

fn event_item(line: &OrderLine) -> OrderItem {
    OrderItem {
        sku: line.sku().as_str().to_owned(),
        quantity: line.quantity().get(),
        price_cents: line.price().get(),
    }
}
