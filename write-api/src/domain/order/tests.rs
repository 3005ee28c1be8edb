use proptest::prelude::*;

use super::*;
use crate::domain::{Cents, Quantity, Sku, Step};

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
        OrderItem { sku: "red".to_owned(), quantity: 2, price_cents: 500 },
        OrderItem { sku: "blue".to_owned(), quantity: 1, price_cents: 250 },
    ];
    assert_eq!(event.change, OrderChange::Placed { items });
}

#[test]
fn times_have_microsecond_resolution() {
    let (order, event) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), now());
    assert_eq!(order.placed_at().timestamp_subsec_nanos(), 123_456_000);
    assert_eq!((event.occurred_at, event.order.placed_at), (order.updated_at(), order.placed_at()));
}

#[test]
fn a_restored_order_equals_the_original() {
    let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), now());
    assert_eq!(Order::restore(stored(&order)), Ok(order));
}

#[test]
fn a_stored_order_that_contradicts_itself_is_refused() {
    let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), now());
    let wrong_total = StoredOrder { total_cents: 2, ..stored(&order) };
    assert_eq!(Order::restore(wrong_total), Err(CorruptOrder::Total { stored: 2, lines: 1 }));
    for (status, version) in [(OrderStatus::Placed, 2), (OrderStatus::Paid, 1), (OrderStatus::Paid, 0)] {
        let wrong_version = StoredOrder { status, version, ..stored(&order) };
        assert_eq!(Order::restore(wrong_version), Err(CorruptOrder::Version { version, status }));
    }
}

#[test]
fn only_the_same_customer_and_lines_are_a_repeat() {
    let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1), ("b", 1, 1)]), now());
    assert!(order.was_placed_with(&customer(), &lines(&[("a", 1, 1), ("b", 1, 1)])));
    assert!(
        !order.was_placed_with(&customer(), &lines(&[("b", 1, 1), ("a", 1, 1)])),
        "the sequence of the lines matters"
    );
    let other = CustomerId::new("other".to_owned()).unwrap();
    assert!(!order.was_placed_with(&other, &lines(&[("a", 1, 1), ("b", 1, 1)])));
}

proptest! {
    /// I4, checked against 128-bit arithmetic, which cannot overflow here.
    #[test]
    fn the_total_is_the_sum_of_price_times_quantity_or_the_order_is_refused(
        raw in prop::collection::vec((1_i64..=i64::from(i32::MAX), 0_i64..=Cents::MAX.get()), 1..20)
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
        let expected = i64::try_from(expected).ok().filter(|total| *total <= Cents::MAX.get());
        prop_assert_eq!(total, expected);
    }
}

fn placed() -> Order {
    Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 2, 300)]), now()).0
}

#[test]
fn each_step_changes_the_order_and_returns_its_event() {
    let later = now() + TimeDelta::hours(1);
    let shipment = Shipment {
        carrier: Some(Carrier::new("DHL".to_owned()).unwrap()),
        tracking_number: Some(TrackingNumber::new("JD01".to_owned()).unwrap()),
    };
    let (paid, paid_event) = placed().pay(later).unwrap();
    let (shipped, shipped_event) = paid.ship(&shipment, later).unwrap();
    let (delivered, delivered_event) = shipped.deliver(later).unwrap();
    let reason = CancelReason::new("wrong size".to_owned()).unwrap();
    let (cancelled, cancelled_event) = paid.cancel(Some(&reason), later).unwrap();

    for (order, event, status, version, change) in [
        (paid, paid_event, OrderStatus::Paid, 2, OrderChange::Paid),
        (
            shipped,
            shipped_event,
            OrderStatus::Shipped,
            3,
            OrderChange::Shipped {
                carrier: Some("DHL".to_owned()),
                tracking_number: Some("JD01".to_owned()),
            },
        ),
        (delivered, delivered_event, OrderStatus::Delivered, 4, OrderChange::Delivered),
        (
            cancelled,
            cancelled_event,
            OrderStatus::Cancelled,
            3,
            OrderChange::Cancelled { reason: Some("wrong size".to_owned()) },
        ),
    ] {
        assert_eq!((order.status(), order.version()), (status, version));
        assert_eq!((event.order.status, event.order.version), (status, version));
        assert_eq!(event.change, change);
        // All steps get the same clock reading, but their times increase.
        let updated_at = later.trunc_subsecs(6) + TimeDelta::microseconds((version - 2).into());
        assert_eq!((order.placed_at(), order.updated_at()), (placed().placed_at(), updated_at));
        assert_eq!((event.order.total_cents, order.lines()), (600, placed().lines()));
    }
}

#[test]
fn a_forbidden_step_names_both_statuses() {
    let (from, to) = (OrderStatus::Placed, OrderStatus::Shipped);
    assert_eq!(placed().ship(&Shipment::default(), now()), Err(StepRefused::Forbidden { from, to }));
    let text = StepRefused::Forbidden { from, to }.to_string();
    assert_eq!(text, "an order that is placed cannot become shipped");
}

fn target(step: &Step) -> OrderStatus {
    match step {
        Step::Pay => OrderStatus::Paid,
        Step::Ship(_) => OrderStatus::Shipped,
        Step::Deliver => OrderStatus::Delivered,
        Step::Cancel(_) => OrderStatus::Cancelled,
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Pay),
        Just(Step::Ship(Shipment::default())),
        Just(Step::Deliver),
        Just(Step::Cancel(None))
    ]
}

/// A simple model of the lifecycle: the statuses that an order has had.
struct Model(Vec<OrderStatus>);

impl Model {
    /// An error says whether the step was taken before.
    fn expect(&mut self, to: OrderStatus) -> Result<(), bool> {
        use OrderStatus::{Cancelled, Delivered, Paid, Placed, Shipped};
        if self.0.contains(&to) {
            return Err(true);
        }
        let next: &[_] = match self.0.last() {
            Some(Placed) => &[Paid, Cancelled],
            Some(Paid) => &[Shipped, Cancelled],
            Some(Shipped) => &[Delivered],
            _ => &[],
        };
        if !next.contains(&to) {
            return Err(false);
        }
        self.0.push(to);
        Ok(())
    }
}

proptest! {
    /// I4, I5, and the sequence of statuses and versions, for any sequence of steps.
    #[test]
    fn any_sequence_of_steps_agrees_with_a_simple_model(steps in prop::collection::vec(any_step(), 0..12)) {
        let mut order = placed();
        let mut model = Model(vec![OrderStatus::Placed]);
        let mut event_ids = std::collections::HashSet::new();
        for step in steps {
            let before = order.clone();
            match (step.apply(&order, now()), model.expect(target(&step))) {
                (Ok((after, event)), Ok(())) => {
                    prop_assert_eq!(after.version(), before.version() + 1);
                    prop_assert_eq!(Some(&after.status()), model.0.last());
                    prop_assert_eq!((event.order.version, event.order.status), (after.version(), after.status()));
                    prop_assert_eq!(event.order.total_cents, 600);
                    prop_assert!(event_ids.insert(event.event_id), "each change has its own event");
                    prop_assert_eq!(Order::restore(stored(&after)), Ok(after.clone()));
                    order = after;
                }
                (Err(StepRefused::AlreadyTaken { from_version }), Err(true)) => {
                    prop_assert!(from_version < before.version());
                }
                (Err(StepRefused::Forbidden { from, to }), Err(false)) => {
                    prop_assert_eq!((from, to), (before.status(), target(&step)));
                }
                (actual, expected) => prop_assert!(false, "{actual:?}, but the model expects {expected:?}"),
            }
        }
        prop_assert_eq!(usize::try_from(order.version()).unwrap(), model.0.len());
    }
}

#[test]
fn a_step_with_a_slow_clock_is_later_than_the_last_change() {
    let (placed, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("red", 1, 1)]), now());
    let two_hours_slow = now() - TimeDelta::hours(2);
    let (paid, event) = placed.pay(two_hours_slow).unwrap();
    assert_eq!(paid.updated_at(), placed.updated_at() + TimeDelta::microseconds(1));
    assert_eq!(event.occurred_at, paid.updated_at());
    let (shipped, _) = paid.ship(&Shipment::default(), two_hours_slow).unwrap();
    let (cancelled, _) = paid.cancel(None, paid.updated_at()).unwrap();
    for next in [shipped, cancelled] {
        assert_eq!(next.updated_at(), paid.updated_at() + TimeDelta::microseconds(1));
    }
}

#[test]
fn a_step_after_the_last_readable_time_keeps_that_time() {
    let placed = placed();
    let updated_at = DateTime::from_timestamp_micros(LAST_MICROS).unwrap();
    let last = Order::restore(StoredOrder { updated_at, ..stored(&placed) }).unwrap();
    let (paid, _) = last.pay(now()).unwrap();
    assert_eq!(paid.updated_at(), updated_at);
}
