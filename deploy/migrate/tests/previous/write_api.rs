//! A write-api of the previous release, beside orders of this build.

use anyhow::Result;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

use crate::{Previous, payload, quoted, value};

const ID: &str = "0191f3a0-0000-7000-8000-000000000001";

const FACTS: &str = "concat_ws(' ', currency, carrier, tracking_number, cancel_reason, paid_at IS NOT NULL,
    shipped_at IS NOT NULL, delivered_at IS NOT NULL, cancelled_at IS NOT NULL)";

const CURRENCY: (&str, &str) = ("currency", "'EUR'");
const PAID: (&str, &str) = ("paid_at", "'2026-11-18T11:07:00Z'");
const SHIPPED: (&str, &str) = ("shipped_at", "'2026-11-18T11:08:00Z'");
const CARRIER: (&str, &str) = ("carrier", "'DHL'");
const DELIVERY: [(&str, &str); 4] = [PAID, SHIPPED, CARRIER, ("delivered_at", "'2026-11-18T11:09:00Z'")];
const CANCELLED: (&str, &str) = ("cancelled_at", "'2026-11-18T11:10:00Z'");
const REASON: (&str, &str) = ("cancel_reason", "'late'");

/// Columns of an order, each with an SQL expression.
type Facts = [(&'static str, &'static str)];

/// The columns that a new order has, and that a step has: name of the type, value.
type Columns = Vec<(&'static str, String)>;

fn first_columns(version: i32, kind: &str) -> Result<Columns> {
    Ok(vec![
        ("uuid[]", format!("'{ID}'")),
        ("bigint[]", format!("{}", 7_000 + version)),
        ("text[]", quoted(kind)),
        ("text[]", quoted(&payload(kind)?)),
    ])
}

fn new_order() -> Result<Columns> {
    let items = r#"[{"sku": "SKU-RED", "quantity": 2, "price_cents": 1999},
                    {"sku": "SKU-BLUE", "quantity": 1, "price_cents": 1999}]"#;
    let mut columns = first_columns(1, "order_placed")?;
    columns.extend([
        ("text[]", quoted("customer-7")),
        ("text[]", quoted(items)),
        ("text[]", quoted("EUR")),
        ("bigint[]", "5997".to_owned()),
        ("timestamptz[]", "'2026-11-18T11:06:40.123456Z'".to_owned()),
    ]);
    Ok(columns)
}

/// The writer sets every fact of the steps that led to the status, as it has read them.
fn step(status: &str, version: i32, facts: &Facts) -> Result<Columns> {
    const TEXTS: [&str; 3] = ["carrier", "tracking_number", "cancel_reason"];
    const TIMES: [&str; 4] = ["paid_at", "shipped_at", "delivered_at", "cancelled_at"];
    let fact =
        |name: &str| facts.iter().find(|(column, _)| *column == name).map_or("NULL", |(_, value)| *value);
    let mut columns = first_columns(version, &format!("order_{status}"))?;
    columns.extend([
        ("integer[]", version.to_string()),
        ("text[]", quoted(status)),
        ("timestamptz[]", format!("timestamptz '2026-11-18T11:06:40Z' + {version} * interval '1 second'")),
    ]);
    columns.extend(TEXTS.map(|name| ("text[]", fact(name).to_owned())));
    columns.extend(TIMES.map(|name| ("timestamptz[]", fact(name).to_owned())));
    Ok(columns)
}

/// `save_batch` for one order. Returns whether the order was stored.
async fn save(previous: &Previous, status: &str, version: i32, facts: &Facts) -> Result<bool> {
    let is_new = version == 1;
    let used = if is_new { new_order()? } else { step(status, version, facts)? };
    let unused = if is_new { step(status, version, facts)? } else { new_order()? };
    let used: Columns = used.into_iter().map(|(of, value)| (of, format!("ARRAY[{value}]::{of}"))).collect();
    let unused = unused.into_iter().map(|(of, _)| (of, "'{}'".to_owned())).collect();
    let parameters = if is_new { [used, unused] } else { [unused, used] }.concat();
    let parameters: Vec<_> = parameters.iter().map(|(of, value)| (*of, value.as_str())).collect();
    let saved = previous.run("save_batch", &parameters).await?;
    Ok(saved == [[Some(ID.to_owned())]])
}

/// An order as a writer of this build leaves it.
async fn store(session: &Client, status: &str, version: i32, facts: &Facts) -> Result<()> {
    let facts = facts.iter().copied().chain([("write_attempts", "'{5}'")]);
    let (columns, values): (Vec<_>, Vec<_>) = facts.unzip();
    session
        .batch_execute(&format!(
            "TRUNCATE outbox;
             DELETE FROM orders;
             INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at,
                 {})
             VALUES ('{ID}', 'customer-7', '[{{\"sku\": \"SKU-RED\", \"quantity\": 3, \"price_cents\": 1999}}]', 5997,
                 '{status}', {version}, '2026-11-18T11:06:40Z', '2026-11-18T11:06:40Z', {})",
            columns.join(", "),
            values.join(", ")
        ))
        .await?;
    Ok(())
}

#[tokio::test]
async fn it_takes_an_order_through_every_life() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let previous = Previous::connect(&database, "write-api").await?;
    for life in [
        [("paid", [PAID].as_slice()), ("shipped", &[PAID, SHIPPED, CARRIER]), ("delivered", &DELIVERY)]
            .as_slice(),
        &[("paid", &[PAID]), ("cancelled", &[PAID, REASON, CANCELLED])],
        &[("cancelled", &[REASON, CANCELLED])],
    ] {
        session.batch_execute("TRUNCATE outbox; DELETE FROM orders").await?;
        assert!(save(&previous, "placed", 1, &[]).await?);
        assert!(!save(&previous, "placed", 1, &[]).await?, "the id is taken");
        for ((status, facts), version) in life.iter().zip(2..) {
            assert!(save(&previous, status, version, facts).await?, "{status}");
            assert!(!save(&previous, status, version, facts).await?, "{status} again");
        }
        let stored = "SELECT concat_ws(' ', status, version) FROM orders";
        let (status, _) = life.last().copied().unwrap_or(("", &[]));
        assert_eq!(value(&session, stored).await?, format!("{status} {}", life.len() + 1));
        let events = value(&session, "SELECT count(*) FROM outbox").await?;
        assert_eq!(events, (life.len() + 1).to_string(), "one event for each version");
    }
    Ok(())
}

/// No CHECK refuses the step.
#[tokio::test]
async fn it_takes_steps_of_orders_that_a_writer_of_this_build_has_stored() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let previous = Previous::connect(&database, "write-api").await?;
    for (before, version, stored, step, set, kept) in [
        ("placed", 1, [CURRENCY].as_slice(), "paid", [PAID].as_slice(), "EUR t f f f"),
        ("placed", 1, &[CURRENCY], "cancelled", &[REASON, CANCELLED], "EUR late f f f t"),
        ("paid", 2, &[CURRENCY, PAID], "shipped", &[PAID, SHIPPED, CARRIER], "EUR DHL t t f f"),
        ("paid", 2, &[CURRENCY, PAID], "cancelled", &[PAID, CANCELLED], "EUR t f f t"),
        ("paid", 2, &[], "cancelled", &[CANCELLED], "f f f t"),
        ("shipped", 3, &[PAID, SHIPPED, CARRIER], "delivered", &DELIVERY, "DHL t t t f"),
    ] {
        store(&session, before, version, stored).await?;
        assert!(save(&previous, step, version + 1, set).await?, "{before} to {step}");
        let found = value(&session, &format!("SELECT {FACTS} FROM orders")).await?;
        assert_eq!(found, kept, "{before} to {step}");
        let status =
            value(&session, "SELECT concat_ws(' ', status, version, write_attempts) FROM orders").await?;
        assert_eq!(status, format!("{step} {} {{{},5}}", version + 1, 7_001 + version));
        assert_eq!(value(&session, "SELECT kind FROM outbox").await?, format!("order_{step}"));
    }
    Ok(())
}

#[tokio::test]
async fn it_finds_orders_of_this_build() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let previous = Previous::connect(&database, "write-api").await?;
    store(&session, "cancelled", 2, &[CURRENCY, REASON, CANCELLED]).await?;
    let id = format!("'{ID}'");
    let found = previous.run_for_one("find", &[("uuid", &id)]).await?;
    let columns = [ID, "customer-7", r#"[{"sku": "SKU-RED", "quantity": 3, "price_cents": 1999}]"#, "5997"];
    assert_eq!(found[..4], columns);
    assert_eq!((found[4..6].join(" "), found.len()), ("cancelled 2".to_owned(), 16));
    assert_eq!(found[8..15], ["EUR", "", "", "late", "", "", ""]);
    let looked_up = previous.run_for_one("look_up", &[("uuid[]", &format!("ARRAY[{id}]::uuid[]"))]).await?;
    assert_eq!(looked_up[..16], found);
    assert_eq!(looked_up[16..], ["{5}"]);
    Ok(())
}

/// By `write-api republish`.
#[tokio::test]
async fn it_adds_events_to_the_outbox() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let previous = Previous::connect(&database, "write-api").await?;
    let payload = quoted(&payload("order_republished")?);
    let parameters = [("text[]", "ARRAY['order_republished']"), ("text[]", &format!("ARRAY[{payload}]"))];
    previous.run("emit", &parameters).await?;
    assert_eq!(value(&session, "SELECT kind FROM outbox").await?, "order_republished");
    Ok(())
}
