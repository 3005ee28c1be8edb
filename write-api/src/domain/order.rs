//! The aggregate.

use chrono::{DateTime, SubsecRound, Utc};
use shared_events::{OrderChange, OrderEvent, OrderItem, OrderState, OrderStatus};
use uuid::Uuid;

use super::{CustomerId, OrderLine, OrderLines};

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
    /// A placed order has version 1, every other a higher one.
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
        let StoredOrder {
            id,
            customer,
            lines,
            total_cents,
            status,
            version,
            placed_at,
            updated_at,
        } = stored;
        if lines.total().get() != total_cents {
            return Err(CorruptOrder::Total {
                stored: total_cents,
                lines: lines.total().get(),
            });
        }
        if version < 1 || (version == 1) != (status == OrderStatus::Placed) {
            return Err(CorruptOrder::Version { version, status });
        }
        Ok(Self {
            id,
            customer,
            lines,
            status,
            version,
            placed_at,
            updated_at,
        })
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Cents, Quantity, Sku};

    fn customer() -> CustomerId {
        CustomerId::new("customer".to_owned()).unwrap()
    }

    fn lines(raw: &[(&str, i64, i64)]) -> OrderLines {
        let lines = raw.iter().map(|(sku, quantity, price)| {
            let (sku, price) = (Sku::new((*sku).to_owned()).unwrap(), Cents::new(*price).unwrap());
            OrderLine::new(sku, Quantity::new(*quantity).unwrap(), price).unwrap()
        });
        OrderLines::new(lines.collect()).unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 123_456_789).unwrap()
    }

    fn stored(order: &Order) -> StoredOrder {
        StoredOrder {
            id: order.id,
            customer: order.customer.clone(),
            lines: order.lines.clone(),
            total_cents: order.lines.total().get(),
            status: order.status,
            version: order.version,
            placed_at: order.placed_at,
            updated_at: order.updated_at,
        }
    }

    #[test]
    fn a_placed_order_is_version_one_and_its_event_carries_its_state() {
        let lines = lines(&[("red", 2, 500), ("blue", 1, 250)]);
        let (order, event) = Order::place(Uuid::from_u128(7), customer(), lines, now());

        assert_eq!(
            (order.status(), order.version(), order.lines().total().get()),
            (OrderStatus::Placed, 1, 1_250)
        );
        assert_eq!(
            event.order,
            OrderState {
                order_id: Uuid::from_u128(7),
                customer_id: "customer".to_owned(),
                status: OrderStatus::Placed,
                version: 1,
                total_cents: 1_250,
                item_count: 2,
                last_item_sku: "blue".to_owned(),
                placed_at: order.placed_at(),
            }
        );
        let items = vec![
            OrderItem {
                sku: "red".to_owned(),
                quantity: 2,
                price_cents: 500,
            },
            OrderItem {
                sku: "blue".to_owned(),
                quantity: 1,
                price_cents: 250,
            },
        ];
        assert_eq!(event.change, OrderChange::Placed { items });
    }

    #[test]
    fn time_is_kept_to_the_microsecond() {
        let (order, event) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), now());
        assert_eq!(order.placed_at().timestamp_subsec_nanos(), 123_456_000);
        assert_eq!(
            (event.occurred_at, event.order.placed_at),
            (order.updated_at(), order.placed_at())
        );
    }

    #[test]
    fn a_stored_order_is_the_same_order_again() {
        let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), now());
        assert_eq!(Order::restore(stored(&order)), Ok(order));
    }

    #[test]
    fn a_stored_order_that_contradicts_itself_is_refused() {
        let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), now());
        let wrong_total = StoredOrder {
            total_cents: 2,
            ..stored(&order)
        };
        assert_eq!(
            Order::restore(wrong_total),
            Err(CorruptOrder::Total { stored: 2, lines: 1 })
        );
        for (status, version) in [
            (OrderStatus::Placed, 2),
            (OrderStatus::Paid, 1),
            (OrderStatus::Paid, 0),
        ] {
            let wrong_version = StoredOrder {
                status,
                version,
                ..stored(&order)
            };
            assert_eq!(
                Order::restore(wrong_version),
                Err(CorruptOrder::Version { version, status })
            );
        }
    }

    #[test]
    fn only_the_same_customer_and_lines_are_a_repeat() {
        let (order, _) = Order::place(
            Uuid::from_u128(7),
            customer(),
            lines(&[("a", 1, 1), ("b", 1, 1)]),
            now(),
        );
        assert!(order.was_placed_with(&customer(), &lines(&[("a", 1, 1), ("b", 1, 1)])));
        assert!(
            !order.was_placed_with(&customer(), &lines(&[("b", 1, 1), ("a", 1, 1)])),
            "order matters"
        );
        let other = CustomerId::new("other".to_owned()).unwrap();
        assert!(!order.was_placed_with(&other, &lines(&[("a", 1, 1), ("b", 1, 1)])));
    }

    proptest! {
        /// I4, against 128-bit arithmetic that cannot overflow.
        #[test]
        fn the_total_is_the_sum_of_price_times_quantity_or_the_order_does_not_exist(
            raw in prop::collection::vec((1_i64..=i64::from(i32::MAX), 0_i64..=i64::MAX), 1..20)
        ) {
            let expected: i128 = raw.iter().map(|(quantity, price)| i128::from(*quantity) * i128::from(*price)).sum();
            let lines: Option<Vec<_>> = raw
                .iter()
                .map(|(quantity, price)| {
                    let sku = Sku::new("sku".to_owned()).unwrap();
                    OrderLine::new(sku, Quantity::new(*quantity).unwrap(), Cents::new(*price).unwrap()).ok()
                })
                .collect();
            let total = lines.and_then(|lines| OrderLines::new(lines).ok()).map(|lines| lines.total().get());
            prop_assert_eq!(total, i64::try_from(expected).ok());
        }
    }
}
