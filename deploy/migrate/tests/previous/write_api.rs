//! A write-api of the previous release, beside orders of this build.

use anyhow::Result;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

use crate::{Previous, payload, quoted, value};

const ID: &str = "0191f3a0-0000-7000-8000-000000000001";

const FACTS: &str = "concat_ws(' ', currency, carrier, tracking_number, cancel_reason, paid_at IS NOT NULL,
    shipped_at IS NOT NULL, delivered_at IS NOT NULL, cancelled_at IS NOT NULL)";

/// `save_batch` for one order. Returns whether the order was stored.
async fn save(previous: &Previous, status: &str, version: i32, kind: &str) -> Result<bool> {
    let items = r#"[{"sku": "SKU-RED", "quantity": 2, "price_cents": 1999},
                    {"sku": "SKU-BLUE", "quantity": 1, "price_cents": 1999}]"#;
    let items = if version == 1 { quoted(items) } else { "NULL".to_owned() };
    let customer = if version == 1 { "customer-7" } else { "" };
    let array = |value: &str| format!("ARRAY[{value}]");
    let texts = [
        format!("'{ID}'"),
        quoted(customer),
        items,
        "5997".to_owned(),
        quoted(status),
        version.to_string(),
        "'2026-11-18T11:06:40.123456Z'".to_owned(),
        format!("timestamptz '2026-11-18T11:06:40.123456Z' + {version} * interval '1 second'"),
        quoted(kind),
        quoted(&payload(kind)?),
        format!("{}", 7_000 + version),
    ]
    .map(|value| array(&value));
    let types = [
        "uuid[]",
        "text[]",
        "text[]",
        "bigint[]",
        "text[]",
        "integer[]",
        "timestamptz[]",
        "timestamptz[]",
        "text[]",
        "text[]",
        "bigint[]",
    ];
    let texts = texts.iter().zip(types).map(|(text, sql_type)| (sql_type, format!("{text}::{sql_type}")));
    let texts: Vec<_> = texts.collect();
    let parameters: Vec<_> = texts.iter().map(|(sql_type, text)| (*sql_type, text.as_str())).collect();
    let saved = previous.run("save_batch", &parameters).await?;
    Ok(saved == [[Some(ID.to_owned())]])
}

/// An order as a writer of this build leaves it.
async fn store(session: &Client, status: &str, version: i32, facts: &[(&str, &str)]) -> Result<()> {
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
        [("paid", "order_paid"), ("shipped", "order_shipped"), ("delivered", "order_delivered")].as_slice(),
        &[("paid", "order_paid"), ("cancelled", "order_cancelled")],
        &[("cancelled", "order_cancelled")],
    ] {
        session.batch_execute("TRUNCATE outbox; DELETE FROM orders").await?;
        assert!(save(&previous, "placed", 1, "order_placed").await?);
        assert!(!save(&previous, "placed", 1, "order_placed").await?, "the id is taken");
        for ((status, kind), version) in life.iter().zip(2..) {
            assert!(save(&previous, status, version, kind).await?, "{status}");
            assert!(!save(&previous, status, version, kind).await?, "{status} again");
        }
        let stored = "SELECT concat_ws(' ', status, version) FROM orders";
        let (status, _) = life.last().copied().unwrap_or_default();
        assert_eq!(value(&session, stored).await?, format!("{status} {}", life.len() + 1));
        let events = value(&session, "SELECT count(*) FROM outbox").await?;
        assert_eq!(events, (life.len() + 1).to_string(), "one event for each version");
    }
    Ok(())
}

/// The facts are still there, and no CHECK refuses the step.
#[tokio::test]
async fn its_steps_keep_what_a_writer_of_this_build_has_stored() -> Result<()> {
    const CURRENCY: (&str, &str) = ("currency", "'EUR'");
    const PAID: (&str, &str) = ("paid_at", "'2026-11-18T11:07:00Z'");
    const SHIPPED: (&str, &str) = ("shipped_at", "'2026-11-18T11:08:00Z'");
    const CARRIER: (&str, &str) = ("carrier", "'DHL'");
    const TRACKING: (&str, &str) = ("tracking_number", "'JD01'");
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let previous = Previous::connect(&database, "write-api").await?;
    for (before, version, facts, step, kept) in [
        ("placed", 1, [CURRENCY].as_slice(), "paid", "EUR f f f f"),
        ("placed", 1, &[CURRENCY], "cancelled", "EUR f f f f"),
        ("paid", 2, &[CURRENCY, PAID], "shipped", "EUR t f f f"),
        ("paid", 2, &[CURRENCY, PAID], "cancelled", "EUR t f f f"),
        ("paid", 2, &[], "cancelled", "f f f f"),
        ("shipped", 3, &[PAID, SHIPPED, CARRIER, TRACKING], "delivered", "DHL JD01 t t f f"),
        ("shipped", 3, &[CURRENCY, PAID, SHIPPED], "delivered", "EUR t t f f"),
    ] {
        store(&session, before, version, facts).await?;
        assert!(save(&previous, step, version + 1, &format!("order_{step}")).await?, "{before} to {step}");
        assert_eq!(
            value(&session, &format!("SELECT {FACTS} FROM orders")).await?,
            kept,
            "{before} to {step}"
        );
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
    store(&session, "cancelled", 2, &[("cancel_reason", "'late'"), ("cancelled_at", "now()")]).await?;
    let id = format!("'{ID}'");
    let found = previous.run_for_one("find", &[("uuid", &id)]).await?;
    let columns = [ID, "customer-7", r#"[{"sku": "SKU-RED", "quantity": 3, "price_cents": 1999}]"#, "5997"];
    assert_eq!(found[..4], columns);
    assert_eq!((found[4..6].join(" "), found.len()), ("cancelled 2".to_owned(), 8));
    let looked_up = previous.run_for_one("look_up", &[("uuid[]", &format!("ARRAY[{id}]::uuid[]"))]).await?;
    assert_eq!(looked_up[..8], found);
    assert_eq!(looked_up[8..], ["{5}"]);
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
