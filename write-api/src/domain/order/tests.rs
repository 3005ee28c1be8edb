use proptest::prelude::*;
use shared_events::{OrderFacts, OrderItem, OrderState};

use super::*;
use crate::domain::{Carrier, Cents, OrderLine, Quantity, Sku, Step, TrackingNumber};

fn euro() -> Currency {
    Currency::new("EUR").unwrap()
}

fn carrier(text: &str) -> Carrier {
    Carrier::new(text.to_owned()).unwrap()
}

fn dhl() -> Shipment {
    let tracking_number = Some(TrackingNumber::new("JD01".to_owned()).unwrap());
    Shipment { carrier: Some(carrier("DHL")), tracking_number }
}

fn reason(text: &str) -> CancelReason {
    CancelReason::new(text.to_owned()).unwrap()
}

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
        currency: order.currency,
        total_cents: order.lines.total().get(),
        status: order.status,
        version: order.version,
        placed_at: order.placed_at,
        updated_at: order.updated_at,
        steps: order.steps.clone(),
    }
}

#[test]
fn a_placed_order_is_version_one_and_its_event_carries_its_state() {
    let lines = lines(&[("red", 2, 500), ("blue", 1, 250)]);
    let (order, event) = Order::place(Uuid::from_u128(7), customer(), lines, Some(euro()), now());

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
    assert_eq!(event.change, OrderChange::Placed);
    let currency = Some("EUR".to_owned());
    assert_eq!(event.facts, OrderFacts { items: Some(items), currency, ..OrderFacts::default() });
}

#[test]
fn times_have_microsecond_resolution() {
    let (order, event) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), None, now());
    assert_eq!(order.placed_at().timestamp_subsec_nanos(), 123_456_000);
    assert_eq!((event.occurred_at, event.order.placed_at), (order.updated_at(), order.placed_at()));
}

#[test]
fn a_restored_order_equals_the_original() {
    let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), None, now());
    assert_eq!(Order::restore(stored(&order)), Ok(order));
}

#[test]
fn a_stored_order_that_contradicts_itself_is_refused() {
    let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), None, now());
    let wrong_total = StoredOrder { total_cents: 2, ..stored(&order) };
    assert_eq!(Order::restore(wrong_total), Err(CorruptOrder::Total { stored: 2, lines: 1 }));
    for (status, version) in [(OrderStatus::Placed, 2), (OrderStatus::Paid, 1), (OrderStatus::Paid, 0)] {
        let wrong_version = StoredOrder { status, version, ..stored(&order) };
        assert_eq!(Order::restore(wrong_version), Err(CorruptOrder::Version { version, status }));
    }
}

#[test]
fn a_fact_of_a_step_that_the_order_has_not_taken_is_refused() {
    let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), None, now());
    let time = Some(order.placed_at);
    let none = StepFacts::default;
    let with_carrier = Shipment { carrier: Some(carrier("DHL")), ..Shipment::default() };
    let with_number = Shipment { carrier: None, ..dhl() };
    for (column, steps, fits) in [
        ("paid_at", StepFacts { paid_at: time, ..none() }, [false, true, true, true, false, true]),
        ("shipped_at", StepFacts { shipped_at: time, ..none() }, [false, false, true, true, false, false]),
        ("carrier", StepFacts { shipment: with_carrier, ..none() }, [false, false, true, true, false, false]),
        (
            "tracking_number",
            StepFacts { shipment: with_number, ..none() },
            [false, false, true, true, false, false],
        ),
        (
            "delivered_at",
            StepFacts { delivered_at: time, ..none() },
            [false, false, false, true, false, false],
        ),
        (
            "cancelled_at",
            StepFacts { cancelled_at: time, ..none() },
            [false, false, false, false, true, true],
        ),
        (
            "cancel_reason",
            StepFacts { cancel_reason: Some(reason("late")), ..none() },
            [false, false, false, false, true, true],
        ),
    ] {
        for ((status, version), fits) in STATES.into_iter().zip(fits) {
            let restored =
                Order::restore(StoredOrder { status, version, steps: steps.clone(), ..stored(&order) });
            let refused = Err(CorruptOrder::Fact { column, version, status });
            assert_eq!(restored.is_ok(), fits, "{column} in {status} {version}");
            assert!(fits || restored == refused, "{restored:?}");
        }
    }
}

/// Each status with each version that it can have.
const STATES: [(OrderStatus, i32); 6] = [
    (OrderStatus::Placed, 1),
    (OrderStatus::Paid, 2),
    (OrderStatus::Shipped, 3),
    (OrderStatus::Delivered, 4),
    (OrderStatus::Cancelled, 2),
    (OrderStatus::Cancelled, 3),
];

/// Older builds stored only status, version and `updated_at`.
#[test]
fn the_time_of_the_last_step_of_an_older_build_is_the_time_of_the_last_change() {
    let (order, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 1, 1)]), None, now());
    let updated_at = order.placed_at + TimeDelta::hours(3);
    for (status, version) in STATES {
        let order = Order::restore(StoredOrder { status, version, updated_at, ..stored(&order) }).unwrap();
        let steps = order.steps();
        let times = [steps.paid_at, steps.shipped_at, steps.delivered_at, steps.cancelled_at];
        let expected =
            [OrderStatus::Paid, OrderStatus::Shipped, OrderStatus::Delivered, OrderStatus::Cancelled]
                .map(|step| (step == status).then_some(updated_at));
        assert_eq!(times, expected, "{status}");
    }
    let earlier = order.placed_at + TimeDelta::hours(1);
    let steps = StepFacts { paid_at: Some(earlier), ..StepFacts::default() };
    let paid = StoredOrder { status: OrderStatus::Paid, version: 2, updated_at, steps, ..stored(&order) };
    assert_eq!(Order::restore(paid).unwrap().steps().paid_at, Some(earlier), "a stored time stays");
}

#[test]
fn only_the_same_customer_lines_and_currency_are_a_repeat() {
    let same = || lines(&[("a", 1, 1), ("b", 1, 1)]);
    let (order, _) = Order::place(Uuid::from_u128(7), customer(), same(), Some(euro()), now());
    let other = CustomerId::new("other".to_owned()).unwrap();
    let other_sequence = lines(&[("b", 1, 1), ("a", 1, 1)]);
    let dollar = Some(Currency::new("USD").unwrap());
    for (customer, lines, currency, difference) in [
        (customer(), same(), Some(euro()), None),
        (customer(), other_sequence.clone(), Some(euro()), Some(ContentDifference::Lines)),
        (other, other_sequence, None, Some(ContentDifference::Customer)),
        (customer(), same(), dollar, Some(ContentDifference::Currency)),
        (customer(), same(), None, Some(ContentDifference::Currency)),
    ] {
        assert_eq!(order.difference_from(&customer, &lines, currency), difference);
    }
    let (without, _) = Order::place(Uuid::from_u128(7), customer(), same(), None, now());
    assert_eq!(without.difference_from(&customer(), &same(), None), None);
    assert_eq!(
        without.difference_from(&customer(), &same(), Some(euro())),
        Some(ContentDifference::Currency)
    );
}

#[test]
fn a_repeat_with_other_details_is_refused_and_names_them() {
    let shipped = paid().ship(&dhl(), now()).unwrap().0;
    let delivered = shipped.deliver(now()).unwrap().0;
    let ups = Shipment { carrier: Some(carrier("UPS")), tracking_number: None };
    let other_number = TrackingNumber::new("JD02".to_owned()).unwrap();
    let all_other = Shipment { tracking_number: Some(other_number), ..ups.clone() };
    for order in [shipped, delivered] {
        for (shipment, differing) in [
            (Shipment::default(), vec![]),
            (dhl(), vec![]),
            (Shipment { tracking_number: None, ..dhl() }, vec![]),
            (ups.clone(), vec![Detail::Carrier]),
            (all_other.clone(), vec![Detail::Carrier, Detail::TrackingNumber]),
        ] {
            assert_eq!(order.ship(&shipment, now()).unwrap_err(), taken(2, differing), "{shipment:?}");
        }
    }
    let cancelled = paid().cancel(Some(&reason("late")), now()).unwrap().0;
    for (given, differing) in [(None, vec![]), (Some("late"), vec![]), (Some("wrong"), vec![Detail::Reason])]
    {
        let repeat = cancelled.cancel(given.map(reason).as_ref(), now());
        assert_eq!(repeat.unwrap_err(), taken(2, differing), "{given:?}");
    }
    // The first request had none.
    let without = paid().ship(&Shipment::default(), now()).unwrap().0;
    let differing = vec![Detail::Carrier, Detail::TrackingNumber];
    assert_eq!(without.ship(&dhl(), now()).unwrap_err(), taken(2, differing));
}

fn taken(from_version: i32, differing: Vec<Detail>) -> StepRefused {
    if differing.is_empty() {
        StepRefused::AlreadyTaken { from_version }
    } else {
        StepRefused::TakenWithOtherDetails { from_version, differing }
    }
}

#[test]
fn details_that_an_older_build_did_not_store_are_not_compared() {
    let order = placed();
    let old = |status, version| Order::restore(StoredOrder { status, version, ..stored(&order) }).unwrap();
    let shipped = old(OrderStatus::Shipped, 3);
    assert_eq!(shipped.ship(&dhl(), now()).unwrap_err(), taken(2, vec![]));
    let (delivered, event) = shipped.deliver(now()).unwrap();
    assert_eq!(event.facts.shipped_at, Some(shipped.updated_at()), "the event keeps the time");
    let steps = StepFacts { shipped_at: delivered.shipped_at_to_store(), ..delivered.steps().clone() };
    let again = StoredOrder { status: OrderStatus::Delivered, version: 4, steps, ..stored(&order) };
    for delivered in [delivered, Order::restore(again).unwrap()] {
        assert_eq!(delivered.ship(&dhl(), now()).unwrap_err(), taken(2, vec![]));
    }
    let cancelled = old(OrderStatus::Cancelled, 2);
    assert_eq!(cancelled.cancel(Some(&reason("late")), now()).unwrap_err(), taken(1, vec![]));
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
    Order::place(Uuid::from_u128(7), customer(), lines(&[("a", 2, 300)]), Some(euro()), now()).0
}

fn paid() -> Order {
    placed().pay(now()).unwrap().0
}

#[test]
fn each_step_changes_the_order_and_returns_its_event() {
    let later = now() + TimeDelta::hours(1);
    let (paid, paid_event) = placed().pay(later).unwrap();
    let (shipped, shipped_event) = paid.ship(&dhl(), later).unwrap();
    let (delivered, delivered_event) = shipped.deliver(later).unwrap();
    let (cancelled, cancelled_event) = paid.cancel(Some(&reason("wrong size")), later).unwrap();

    // All steps get the same clock reading, but their times increase.
    let time = |version: i32| later.trunc_subsecs(6) + TimeDelta::microseconds((version - 2).into());
    let currency = Some("EUR".to_owned());
    let paid_facts = OrderFacts { currency, paid_at: Some(time(2)), ..OrderFacts::default() };
    let shipped_facts = OrderFacts {
        carrier: Some("DHL".to_owned()),
        tracking_number: Some("JD01".to_owned()),
        shipped_at: Some(time(3)),
        ..paid_facts.clone()
    };
    let delivered_facts = OrderFacts { delivered_at: Some(time(4)), ..shipped_facts.clone() };
    let cancelled_facts = OrderFacts {
        cancel_reason: Some("wrong size".to_owned()),
        cancelled_at: Some(time(3)),
        ..paid_facts.clone()
    };
    for (order, event, status, version, change, facts) in [
        (paid, paid_event, OrderStatus::Paid, 2, OrderChange::Paid, paid_facts),
        (shipped, shipped_event, OrderStatus::Shipped, 3, OrderChange::Shipped, shipped_facts),
        (delivered, delivered_event, OrderStatus::Delivered, 4, OrderChange::Delivered, delivered_facts),
        (cancelled, cancelled_event, OrderStatus::Cancelled, 3, OrderChange::Cancelled, cancelled_facts),
    ] {
        assert_eq!((order.status(), order.version()), (status, version));
        assert_eq!((event.order.status, event.order.version), (status, version));
        assert_eq!((event.change, &event.facts), (change, &facts));
        assert_eq!((order.placed_at(), order.updated_at()), (placed().placed_at(), time(version)));
        assert_eq!((event.order.total_cents, order.lines()), (600, placed().lines()));
        let items = vec![OrderItem { sku: "a".to_owned(), quantity: 2, price_cents: 300 }];
        let republished = order.republished();
        assert_eq!(
            republished.facts,
            OrderFacts { items: Some(items), ..facts },
            "a republished event has all"
        );
        assert_eq!((republished.order, republished.occurred_at), (event.order, event.occurred_at));
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
        Just(Step::Ship(dhl())),
        Just(Step::Deliver),
        Just(Step::Cancel(None)),
        Just(Step::Cancel(Some(reason("late"))))
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
                (
                    Err(
                        StepRefused::AlreadyTaken { from_version }
                        | StepRefused::TakenWithOtherDetails { from_version, .. },
                    ),
                    Err(true),
                ) => {
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
    let (placed, _) = Order::place(Uuid::from_u128(7), customer(), lines(&[("red", 1, 1)]), None, now());
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
