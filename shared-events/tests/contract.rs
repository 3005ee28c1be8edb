//! The frozen wire format, and the handling of unknown events.

#![expect(clippy::expect_used, reason = "a missing golden file ends the test")]
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared_events::{
    DecodeReason, OrderChange, OrderEvent, OrderFacts, OrderItem, OrderState, OrderStatus, SCHEMA_VERSION,
};
use uuid::Uuid;

/// What [`OrderEvent::encode`] writes: each kind with the whole order.
const GOLDEN: [(&str, &str); 6] = [
    ("order_placed", include_str!("golden/whole/order_placed.v1.json")),
    ("order_paid", include_str!("golden/whole/order_paid.v1.json")),
    ("order_shipped", include_str!("golden/whole/order_shipped.v1.json")),
    ("order_delivered", include_str!("golden/whole/order_delivered.v1.json")),
    ("order_cancelled", include_str!("golden/whole/order_cancelled.v1.json")),
    ("order_republished", include_str!("golden/whole/order_republished.v1.json")),
];

/// What older builds wrote: each event has only the facts of its own change, without times.
const WITHOUT_FACTS: [(&str, &str); 6] = [
    ("order_placed", include_str!("golden/order_placed.v1.json")),
    ("order_paid", include_str!("golden/order_paid.v1.json")),
    ("order_shipped", include_str!("golden/order_shipped.v1.json")),
    ("order_delivered", include_str!("golden/order_delivered.v1.json")),
    ("order_cancelled", include_str!("golden/order_cancelled.v1.json")),
    ("order_republished", include_str!("golden/order_republished.v1.json")),
];

const README: &str = include_str!("../README.md");

fn placed_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 123_456_000).unwrap_or_default()
}

/// The time of the change to this version.
fn time_of(version: i32) -> DateTime<Utc> {
    placed_at() + TimeDelta::minutes(i64::from(version - 1))
}

fn event(version: i32, status: OrderStatus, change: OrderChange, facts: OrderFacts) -> OrderEvent {
    let order = OrderState {
        order_id: Uuid::from_u128(0x0191_f3a0_0000_7000_8000_0000_0000_0001),
        customer_id: "customer-7".to_owned(),
        status,
        version,
        total_cents: 5_997,
        item_count: 2,
        last_item_sku: "SKU-BLUE".to_owned(),
        placed_at: placed_at(),
    };
    OrderEvent::new(order, facts, change, time_of(version))
}

fn items() -> Vec<OrderItem> {
    vec![
        OrderItem { sku: "SKU-RED".to_owned(), quantity: 2, price_cents: 1_999 },
        OrderItem { sku: "SKU-BLUE".to_owned(), quantity: 1, price_cents: 1_999 },
    ]
}

/// One event of each kind, with the whole order. The cancelled order had been paid.
fn every_kind() -> [OrderEvent; 6] {
    let placed =
        OrderFacts { items: Some(items()), currency: Some("EUR".to_owned()), ..OrderFacts::default() };
    let paid = OrderFacts { paid_at: Some(time_of(2)), ..placed.clone() };
    let shipped = OrderFacts {
        carrier: Some("DHL".to_owned()),
        tracking_number: Some("JD0146 0000".to_owned()),
        shipped_at: Some(time_of(3)),
        ..paid.clone()
    };
    let delivered = OrderFacts { delivered_at: Some(time_of(4)), ..shipped.clone() };
    let cancelled = OrderFacts {
        cancel_reason: Some("wrong size".to_owned()),
        cancelled_at: Some(time_of(3)),
        ..paid.clone()
    };
    [
        event(1, OrderStatus::Placed, OrderChange::Placed, placed),
        event(2, OrderStatus::Paid, OrderChange::Paid, paid),
        event(3, OrderStatus::Shipped, OrderChange::Shipped, shipped),
        event(4, OrderStatus::Delivered, OrderChange::Delivered, delivered.clone()),
        event(3, OrderStatus::Cancelled, OrderChange::Cancelled, cancelled),
        event(4, OrderStatus::Delivered, OrderChange::Republished, delivered),
    ]
}

/// What the events of older builds say: the facts of their own change. The time of the change is `occurred_at`.
fn every_kind_without_facts() -> [OrderEvent; 6] {
    let none = OrderFacts::default;
    let shipped = OrderFacts {
        carrier: Some("DHL".to_owned()),
        tracking_number: Some("JD0146 0000".to_owned()),
        shipped_at: Some(time_of(3)),
        ..none()
    };
    let cancelled =
        OrderFacts { cancel_reason: Some("wrong size".to_owned()), cancelled_at: Some(time_of(2)), ..none() };
    let delivered = OrderFacts { delivered_at: Some(time_of(4)), ..none() };
    [
        event(1, OrderStatus::Placed, OrderChange::Placed, OrderFacts { items: Some(items()), ..none() }),
        event(2, OrderStatus::Paid, OrderChange::Paid, OrderFacts { paid_at: Some(time_of(2)), ..none() }),
        event(3, OrderStatus::Shipped, OrderChange::Shipped, shipped),
        event(4, OrderStatus::Delivered, OrderChange::Delivered, delivered.clone()),
        event(2, OrderStatus::Cancelled, OrderChange::Cancelled, cancelled),
        // Its `occurred_at` is the time of the order's last change.
        event(4, OrderStatus::Delivered, OrderChange::Republished, delivered),
    ]
}

fn find(files: &[(&str, &str)], kind: &str) -> Value {
    let (_, text) = files.iter().find(|(name, _)| *name == kind).expect("a golden file for every kind");
    serde_json::from_str(text).expect("golden files are JSON")
}

fn golden(kind: &str) -> Value {
    find(&GOLDEN, kind)
}

#[test]
fn every_kind_is_encoded_as_in_its_golden_file() {
    for event in every_kind() {
        let encoded = event.encode().unwrap();
        let written: Value = serde_json::from_str(&encoded.payload).unwrap();
        assert_eq!(written, golden(encoded.kind), "{} differs from its golden file", encoded.kind);
    }
}

#[test]
fn every_golden_file_is_decoded_to_its_event() {
    let kinds: Vec<_> = every_kind().iter().map(OrderEvent::kind).collect();
    assert_eq!(kinds, OrderChange::ALL.map(OrderChange::kind), "a kind without a golden file");
    for event in every_kind() {
        let payload = golden(event.kind()).to_string();
        assert_eq!(OrderEvent::decode(event.kind(), &payload).unwrap(), event);
    }
}

#[test]
fn an_event_of_an_older_build_is_decoded_with_the_time_of_its_own_step() {
    for event in every_kind_without_facts() {
        let payload = find(&WITHOUT_FACTS, event.kind()).to_string();
        assert_eq!(OrderEvent::decode(event.kind(), &payload).unwrap(), event);
    }
}

#[test]
fn a_step_time_in_the_event_wins_over_the_time_of_the_event() {
    let mut payload = golden("order_paid");
    payload["occurred_at"] = json!("2026-12-24T00:00:00Z");
    let event = OrderEvent::decode("order_paid", &payload.to_string()).unwrap();
    assert_eq!(event.facts.paid_at, Some(time_of(2)));
}

/// Older builds look for what they know in the places where they wrote it.
#[test]
fn an_event_with_the_whole_order_has_all_fields_of_older_builds_in_their_places() {
    for (kind, old) in WITHOUT_FACTS {
        let (old, new): (Value, Value) = (serde_json::from_str(old).unwrap(), golden(kind));
        for (field, value) in old.as_object().unwrap() {
            if field == "order" || field == "event_id" || field == "occurred_at" {
                let fields = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
                assert_eq!(fields(&new[field]), fields(value), "{kind}: {field}");
            } else {
                assert_eq!(&new[field], value, "{kind}: {field}");
            }
        }
    }
}

#[test]
fn optional_fields_may_be_absent() {
    for (kind, fields) in [
        ("order_placed", &["currency"][..]),
        ("order_paid", &["items", "currency"]),
        ("order_shipped", &["items", "currency", "carrier", "tracking_number", "paid_at"]),
        ("order_cancelled", &["items", "currency", "reason", "paid_at"]),
        ("order_republished", &["items", "carrier", "paid_at", "shipped_at"]),
    ] {
        let mut payload = golden(kind);
        for field in fields {
            payload.as_object_mut().unwrap().remove(*field);
        }
        let event = OrderEvent::decode(kind, &payload.to_string()).unwrap();
        let again: Value = serde_json::from_str(&event.encode().unwrap().payload).unwrap();
        assert_eq!(again, payload, "an absent field of {kind} must stay absent");
    }
}

#[test]
fn unknown_fields_are_ignored_at_every_level() {
    for event in every_kind() {
        let mut payload = golden(event.kind());
        payload["added_later"] = json!({"deep": [1, 2, 3]});
        payload["order"]["loyalty_tier"] = json!("gold");
        if let Some(items) = payload.get_mut("items").and_then(Value::as_array_mut) {
            items[0]["gift_wrap"] = json!(true);
        }
        assert_eq!(OrderEvent::decode(event.kind(), &payload.to_string()).unwrap(), event);
    }
}

#[test]
fn an_unknown_kind_keeps_the_raw_payload() {
    for payload in [r#"{"whatever":  [1, 2]}"#, "not json", &golden("order_paid").to_string()] {
        let error = OrderEvent::decode("order_gift_wrapped", payload).unwrap_err();
        assert!(matches!(error.reason, DecodeReason::UnknownKind), "{error:?}");
        assert_eq!((error.kind.as_str(), error.payload.as_str()), ("order_gift_wrapped", payload));
    }
}

#[test]
fn a_newer_schema_is_detected_even_if_nothing_else_can_be_read() {
    for newer in [SCHEMA_VERSION + 1, 70_000, u64::MAX] {
        let mut readable = golden("order_paid");
        readable["schema_version"] = json!(newer);
        for payload in [readable, json!({"schema_version": newer, "order": "now a string"})] {
            let payload = payload.to_string();
            let error = OrderEvent::decode("order_paid", &payload).unwrap_err();
            assert!(
                matches!(error.reason, DecodeReason::NewerSchema { found } if found == newer),
                "{error:?}"
            );
            assert_eq!(error.payload, payload);
        }
    }
}

#[test]
fn a_malformed_payload_is_refused_and_kept() {
    let mut without_items = golden("order_placed");
    without_items.as_object_mut().unwrap().remove("items");
    let error = OrderEvent::decode("order_placed", &without_items.to_string()).unwrap_err();
    assert!(matches!(error.reason, DecodeReason::MissingField("items")), "{error:?}");

    let mut unknown_status = golden("order_paid");
    unknown_status["order"]["status"] = json!("teleported");
    for payload in [unknown_status.to_string(), "{".to_owned(), "[]".to_owned(), String::new()] {
        let error = OrderEvent::decode("order_paid", &payload).unwrap_err();
        assert!(matches!(error.reason, DecodeReason::Malformed(_)), "{error:?}");
        assert_eq!(error.payload, payload);
    }
}

#[test]
fn an_event_built_twice_is_the_same_event_and_versions_never_share_an_id() {
    let [placed, paid, _, delivered, _, republished] = every_kind();
    assert_eq!(every_kind()[0].event_id, placed.event_id);
    assert_ne!(placed.event_id, paid.event_id);
    assert_ne!(delivered.event_id, republished.event_id, "a republished event is not the original event");
}

#[test]
fn every_status_is_parsed_from_its_name() {
    for status in OrderStatus::ALL {
        assert_eq!(status.as_str().parse::<OrderStatus>().unwrap(), status);
        assert_eq!(serde_json::to_value(status).unwrap(), json!(status.as_str()));
    }
    assert!("Placed".parse::<OrderStatus>().is_err(), "names are exact");
}

/// The write side has become stricter. Events that it wrote before are still valid.
#[test]
fn an_event_older_than_the_limits_on_amounts_and_white_space_stays_unchanged() {
    for (customer_id, sku, cents) in [
        ("alice", "A", 9_007_199_254_740_992),
        ("alice", "A", i64::MAX),
        (" alice\u{3000}", " ", 1),
        ("..", "\u{a0}A", 0),
    ] {
        let items = vec![OrderItem { sku: sku.to_owned(), quantity: 1, price_cents: cents }];
        let facts = OrderFacts { items: Some(items), ..OrderFacts::default() };
        let mut event = event(1, OrderStatus::Placed, OrderChange::Placed, facts);
        event.order.customer_id = customer_id.to_owned();
        event.order.last_item_sku = sku.to_owned();
        event.order.total_cents = cents;
        let encoded = event.encode().expect("the event can be encoded");
        let decoded = OrderEvent::decode(encoded.kind, &encoded.payload).expect("the event can be decoded");
        assert_eq!(decoded, event);
    }
}

#[test]
fn the_readme_lists_every_kind_and_its_example_is_the_golden_one() {
    for kind in OrderChange::ALL.map(OrderChange::kind) {
        assert!(README.contains(&format!("\n| `{kind}` | ")), "{kind}");
    }
    let (kind, json) = GOLDEN[0];
    assert_eq!(kind, "order_placed");
    assert!(README.contains(&format!("```text\n{}\n```", json.trim())));
}
