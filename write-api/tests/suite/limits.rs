//! The domain owns every limit. The OpenAPI document and the CHECKs repeat them, and must agree with it.

use std::collections::BTreeSet;

use anyhow::Result;
use chrono::Utc;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_events::{OrderChange, OrderStatus};
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;
use write_api::domain::{
    CancelReason, Carrier, Cents, CustomerId, Order, OrderLines, Quantity, Sku, StepFacts, StoredOrder,
    TrackingNumber,
};

use crate::support::{Api, order, some_order};

/// All limits of one schema property in the OpenAPI document.
fn limits(document: &Value, schema: &str, property: &str) -> Value {
    let property = document.pointer(&format!("/components/schemas/{schema}/properties/{property}"));
    let names = ["minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"];
    names.into_iter().filter_map(|name| Some((name.to_owned(), property?.get(name)?.clone()))).collect()
}

#[tokio::test]
async fn the_openapi_document_has_the_limits_of_the_domain() -> Result<()> {
    let api = Api::start().await?;
    let document: Value = api.get("/openapi.json").await?.error_for_status()?.json().await?;
    let text = |max_chars: usize| json!({"minLength": 1, "maxLength": max_chars});
    let cents = json!({"minimum": 0, "maximum": Cents::MAX.get()});
    for (schema, property, expected) in [
        ("PlaceOrderRequest", "customer_id", text(CustomerId::MAX_CHARS)),
        ("PlaceOrderRequest", "items", json!({"minItems": 1, "maxItems": OrderLines::LIMIT})),
        ("ItemRequest", "sku", text(Sku::MAX_CHARS)),
        ("ItemRequest", "quantity", json!({"minimum": 1, "maximum": Quantity::MAX})),
        ("ItemRequest", "price_cents", cents.clone()),
        ("ShipRequest", "carrier", text(Carrier::MAX_CHARS)),
        ("ShipRequest", "tracking_number", text(TrackingNumber::MAX_CHARS)),
        ("CancelRequest", "reason", text(CancelReason::MAX_CHARS)),
        ("PlacedResponse", "total_cents", cents),
        ("PlacedResponse", "item_count", json!({"minimum": 1, "maximum": OrderLines::LIMIT})),
        // Orders that are older than the limit on totals can still be changed.
        ("ChangedResponse", "total_cents", json!({"minimum": 0})),
    ] {
        assert_eq!(limits(&document, schema, property), expected, "{schema}.{property}");
    }
    let item = &document["components"]["schemas"]["ItemRequest"]["description"];
    assert!(item.to_string().contains(&Cents::MAX.get().to_string()), "{item}");
    let statuses = OrderStatus::ALL.map(OrderStatus::as_str).join("|");
    let status = &document["components"]["schemas"]["ChangedResponse"]["properties"]["status"]["pattern"];
    assert_eq!(status, &json!(format!("^({statuses})$")));
    Ok(())
}

#[tokio::test]
async fn the_openapi_document_has_the_limit_of_idempotency_keys() -> Result<()> {
    let api = Api::start().await?;
    let document: Value = api.get("/openapi.json").await?.error_for_status()?.json().await?;
    let parameters =
        document["paths"]["/orders"]["post"]["parameters"].as_array().cloned().unwrap_or_default();
    let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key").unwrap();
    let max: usize = serde_json::from_value(key["schema"]["maxLength"].clone())?;
    for (length, expected) in [(max, StatusCode::CREATED), (max + 1, StatusCode::BAD_REQUEST)] {
        let request =
            api.client.post(format!("{}/orders", api.url)).header("idempotency-key", "k".repeat(length));
        assert_eq!(request.json(&order()).send().await?.status(), expected, "{length} characters");
    }
    Ok(())
}

/// The CHECKs of one table, by name.
struct Checks {
    session: Client,
    table: &'static str,
    expressions: Vec<(String, String)>,
}

impl Checks {
    async fn read(database: &TestDatabase, table: &'static str) -> Result<Self> {
        let session = database.connect().await?;
        let checks = "SELECT conname::text, pg_get_expr(conbin, conrelid) FROM pg_constraint
                      WHERE contype = 'c' AND conrelid = $1::text::regclass";
        let rows = session.query(checks, &[&table]).await?;
        let expressions = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(Self { session, table, expressions })
    }

    fn names(&self) -> BTreeSet<&str> {
        self.expressions.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The names of the CHECKs that refuse `row` after `changes` to some of its columns.
    async fn refusing(&self, row: &Value, changes: &Value) -> Result<Vec<&str>> {
        let mut row = row.clone();
        if let (Value::Object(row), Value::Object(changes)) = (&mut row, changes) {
            row.extend(changes.clone());
        }
        let mut refusing = Vec::new();
        for (name, expression) in &self.expressions {
            let table = self.table;
            let check = format!(
                "SELECT {expression} FROM jsonb_populate_record(NULL::{table}, $1::text::jsonb) AS {table}"
            );
            // A CHECK accepts NULL.
            let accepts: Option<bool> = self.session.query_one(&check, &[&row.to_string()]).await?.get(0);
            if accepts == Some(false) {
                refusing.push(name.as_str());
            }
        }
        Ok(refusing)
    }
}

fn chars(count: usize) -> String {
    "ü".repeat(count)
}

#[tokio::test]
async fn the_checks_of_orders_have_the_limits_of_the_domain() -> Result<()> {
    let database = TestDatabase::create().await?;
    let checks = Checks::read(&database, "orders").await?;
    let order =
        json!({"customer_id": "alice", "items": [{}], "total_cents": 1, "status": "placed", "version": 1});
    let items = |count| json!({"items": vec![json!({}); count]});
    let customer = |text: &str| json!({"customer_id": text});
    let total = |cents: i64| json!({"total_cents": cents});
    let max = Cents::MAX.get();
    let shipped = |column: &str, text: &str| json!({"status": "shipped", "version": 3, column: text});
    let cancelled = |text: &str| json!({"status": "cancelled", "version": 3, "cancel_reason": text});
    let mut seen = BTreeSet::new();
    for (changes, refusing) in [
        (json!({"currency": "EUR"}), None),
        (json!({"currency": "EU"}), Some("orders_currency_is_a_code")),
        (json!({"currency": "eur"}), Some("orders_currency_is_a_code")),
        (json!({"currency": "EUR\n"}), Some("orders_currency_is_a_code")),
        (shipped("carrier", &chars(Carrier::MAX_CHARS)), None),
        (shipped("carrier", &chars(Carrier::MAX_CHARS + 1)), Some("orders_carrier_length")),
        (shipped("carrier", ""), Some("orders_carrier_length")),
        (shipped("tracking_number", &chars(TrackingNumber::MAX_CHARS)), None),
        (
            shipped("tracking_number", &chars(TrackingNumber::MAX_CHARS + 1)),
            Some("orders_tracking_number_length"),
        ),
        (shipped("tracking_number", ""), Some("orders_tracking_number_length")),
        (cancelled(&chars(CancelReason::MAX_CHARS)), None),
        (cancelled(&chars(CancelReason::MAX_CHARS + 1)), Some("orders_cancel_reason_length")),
        (cancelled(""), Some("orders_cancel_reason_length")),
        (json!({"paid_at": TIME}), Some("orders_payment_fits_status")),
        (json!({"shipped_at": TIME}), Some("orders_shipment_fits_status")),
        (json!({"delivered_at": TIME}), Some("orders_delivery_fits_status")),
        (json!({"cancelled_at": TIME}), Some("orders_cancellation_fits_status")),
        (customer(&chars(CustomerId::MAX_CHARS)), None),
        (customer(&chars(CustomerId::MAX_CHARS + 1)), Some("orders_customer_id_length")),
        (customer(""), Some("orders_customer_id_length")),
        (customer("."), Some("orders_customer_id_addressable")),
        (customer(".."), Some("orders_customer_id_addressable")),
        (items(OrderLines::LIMIT), None),
        (items(OrderLines::LIMIT + 1), Some("orders_items_count")),
        (items(0), Some("orders_items_count")),
        (total(0), None),
        (total(-1), Some("orders_total_not_negative")),
        (total(max), None),
        (total(max + 1), Some("orders_total_exact")),
        (json!({"version": 0, "status": "paid"}), Some("orders_version_positive")),
        (json!({"version": 2}), Some("orders_version_fits_status")),
        (json!({"status": "lost", "version": 2}), Some("orders_status_known")),
    ] {
        let expected: Vec<_> = refusing.into_iter().collect();
        assert_eq!(checks.refusing(&order, &changes).await?, expected, "{changes:.200}");
        seen.extend(expected);
    }
    for status in OrderStatus::ALL {
        let version = if status == OrderStatus::Placed { 1 } else { 2 };
        let changes = json!({"status": status.as_str(), "version": version});
        assert!(checks.refusing(&order, &changes).await?.is_empty(), "{status}");
    }
    assert_eq!(seen, checks.names(), "every CHECK has a case here");
    Ok(())
}

const TIME: &str = "2026-11-26T00:00:00Z";

/// What the row of a step has beside status and version.
fn steps_with(column: &str) -> Result<StepFacts> {
    let (mut steps, time) = (StepFacts::default(), Some(TIME.parse()?));
    match column {
        "paid_at" => steps.paid_at = time,
        "shipped_at" => steps.shipped_at = time,
        "delivered_at" => steps.delivered_at = time,
        "cancelled_at" => steps.cancelled_at = time,
        "carrier" => steps.shipment.carrier = Some(Carrier::new(TIME.to_owned())?),
        "tracking_number" => steps.shipment.tracking_number = Some(TrackingNumber::new(TIME.to_owned())?),
        "cancel_reason" => steps.cancel_reason = Some(CancelReason::new(TIME.to_owned())?),
        other => anyhow::bail!("no such column: {other}"),
    }
    Ok(steps)
}

#[tokio::test]
async fn the_checks_of_orders_allow_a_fact_in_the_states_in_which_the_domain_does() -> Result<()> {
    let database = TestDatabase::create().await?;
    let checks = Checks::read(&database, "orders").await?;
    let (order, _) = some_order(Utc::now())?;
    for (status, versions) in [
        (OrderStatus::Placed, 1..=1),
        (OrderStatus::Paid, 2..=2),
        (OrderStatus::Shipped, 3..=3),
        (OrderStatus::Delivered, 4..=4),
        (OrderStatus::Cancelled, 2..=3),
    ] {
        for version in versions {
            for column in [
                "paid_at",
                "shipped_at",
                "carrier",
                "tracking_number",
                "delivered_at",
                "cancelled_at",
                "cancel_reason",
            ] {
                let row = json!({
                    "customer_id": "alice", "items": [{}], "total_cents": 1, "status": status.as_str(),
                    "version": version, column: TIME,
                });
                let restored = Order::restore(StoredOrder {
                    id: order.id(),
                    customer: order.customer().clone(),
                    lines: order.lines().clone(),
                    currency: None,
                    total_cents: 1,
                    status,
                    version,
                    placed_at: order.placed_at(),
                    updated_at: order.updated_at(),
                    steps: steps_with(column)?,
                });
                let refusing = checks.refusing(&row, &json!({})).await?;
                assert_eq!(
                    refusing.is_empty(),
                    restored.is_ok(),
                    "{column} in {status} {version}: {refusing:?}"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_check_on_customer_ids_has_the_domains_white_space() -> Result<()> {
    let database = TestDatabase::create().await?;
    let checks = Checks::read(&database, "orders").await?;
    let order =
        json!({"customer_id": "alice", "items": [{}], "total_cents": 1, "status": "placed", "version": 1});
    // The last four look like white space and are not.
    let white_space = ('\u{1}'..=char::MAX).filter(|character| character.is_whitespace());
    for character in white_space.chain(['\u{180e}', '\u{200b}', '\u{2060}', '\u{feff}']) {
        for text in [format!("{character}a"), format!("a{character}"), character.to_string()] {
            let is_accepted = checks.refusing(&order, &json!({"customer_id": text})).await?.is_empty();
            assert_eq!(is_accepted, CustomerId::new(text.clone()).is_ok(), "{text:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_checks_of_summaries_and_the_outbox_accept_all_that_the_domain_does() -> Result<()> {
    let database = TestDatabase::create().await?;
    let checks = Checks::read(&database, "order_summary").await?;
    let summary = json!({
        "customer_id": "alice", "last_item_sku": "A", "item_count": 1,
        "total_cents": 1, "status": "placed", "version": 1,
    });
    let mut seen = BTreeSet::new();
    for (changes, refusing) in [
        (json!({"customer_id": chars(CustomerId::MAX_CHARS)}), None),
        (json!({"customer_id": chars(CustomerId::MAX_CHARS + 1)}), Some("order_summary_customer_id_length")),
        (json!({"last_item_sku": chars(Sku::MAX_CHARS)}), None),
        (json!({"last_item_sku": chars(Sku::MAX_CHARS + 1)}), Some("order_summary_last_item_sku_length")),
        (json!({"item_count": OrderLines::LIMIT}), None),
        (json!({"item_count": 0}), Some("order_summary_item_count_positive")),
        // Events that are older than the limit on totals are still applied.
        (json!({"total_cents": i64::MAX}), None),
        (json!({"total_cents": -1}), Some("order_summary_total_not_negative")),
        (json!({"version": 0}), Some("order_summary_version_positive")),
        (json!({"status": "lost"}), Some("order_summary_status_known")),
        (json!({"currency": "EUR"}), None),
        (json!({"currency": "eur"}), Some("order_summary_currency_is_a_code")),
    ] {
        let expected: Vec<_> = refusing.into_iter().collect();
        assert_eq!(checks.refusing(&summary, &changes).await?, expected, "{changes:.200}");
        seen.extend(expected);
    }
    for status in OrderStatus::ALL {
        let changes = json!({"status": status.as_str()});
        assert!(checks.refusing(&summary, &changes).await?.is_empty(), "{status}");
    }
    assert_eq!(seen, checks.names(), "every CHECK has a case here");

    let checks = Checks::read(&database, "outbox").await?;
    for kind in OrderChange::ALL.map(OrderChange::kind) {
        assert!(checks.refusing(&json!({}), &json!({"kind": kind})).await?.is_empty(), "{kind}");
    }
    Ok(())
}
