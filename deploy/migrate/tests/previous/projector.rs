//! A projector of the previous release, beside rows and events of this build.

use std::time::Duration;

use anyhow::Result;
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio_postgres::Client;

use crate::{Previous, payload, quoted, value};

const ID: &str = "0191f3a0-0000-7000-8000-000000000001";
const IDS: &str = "ARRAY['0191f3a0-0000-7000-8000-000000000001']::uuid[]";

const FACTS: &str = "SELECT concat_ws(' ', status, version, currency, items::text, carrier, tracking_number,
    cancel_reason, paid_at IS NOT NULL, shipped_at IS NOT NULL, delivered_at IS NOT NULL, cancelled_at IS NOT NULL)
    FROM order_summary";

async fn connect() -> Result<(TestDatabase, Client, Previous)> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let previous = Previous::connect(&database, "projector").await?;
    Ok((database, session, previous))
}

/// Applies one version of the order, with its facts: a column's array is empty where it has none, as the projector
/// sends it.
async fn upsert(previous: &Previous, status: &str, version: i32, facts: [&str; 9]) -> Result<()> {
    let (statuses, versions) = (format!("ARRAY['{status}']"), format!("ARRAY[{version}]"));
    let columns =
        ["text", "json", "text", "text", "text", "timestamptz", "timestamptz", "timestamptz", "timestamptz"]
            .map(|column| format!("{column}[]"));
    let facts = facts.map(|fact| if fact.is_empty() { "'{}'".to_owned() } else { format!("ARRAY[{fact}]") });
    let mut parameters = vec![
        ("uuid[]", IDS),
        ("text[]", "ARRAY['customer-7']"),
        ("bigint[]", "ARRAY[5997]::bigint[]"),
        ("text[]", &statuses),
        ("timestamptz[]", "ARRAY[timestamptz '2026-11-18T11:06:40.123456Z']"),
        ("integer[]", "ARRAY[2]"),
        ("text[]", "ARRAY['SKU-BLUE']"),
        ("integer[]", &versions),
    ];
    let facts: Vec<_> =
        columns.iter().zip(&facts).map(|(column, fact)| (column, format!("{fact}::{column}"))).collect();
    parameters.extend(facts.iter().map(|(column, fact)| (column.as_str(), fact.as_str())));
    previous.run("order_summary", &parameters).await.map(drop)
}

/// A summary as a projector of this build leaves it.
async fn store(session: &Client, status: &str, version: i32, facts: &str, values: &str) -> Result<()> {
    session
        .batch_execute(&format!(
            "DELETE FROM order_summary;
             INSERT INTO order_summary (order_id, customer_id, total_cents, status, placed_at, item_count,
                 last_item_sku, version, changed_in, {facts})
             VALUES ('{ID}', 'customer-7', 5997, '{status}', '2026-11-18T11:06:40.123456Z', 2, 'SKU-BLUE', {version},
                 1, {values})"
        ))
        .await?;
    Ok(())
}

async fn add_events(session: &Client) -> Result<()> {
    for kind in ["order_placed", "order_shipped", "whole/order_shipped"] {
        let (payload, kind) = (quoted(&payload(kind)?), kind.trim_start_matches("whole/"));
        session
            .batch_execute(&format!("INSERT INTO outbox (kind, payload) VALUES ('{kind}', {payload})"))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn its_summaries_keep_the_facts_that_this_build_has_written() -> Result<()> {
    let (_database, session, previous) = connect().await?;
    let shipped = "currency, items, carrier, tracking_number, paid_at, shipped_at";
    let values = r#"'EUR', '[{"sku":"S"}]', 'DHL', 'JD01', now(), now()"#;
    store(&session, "shipped", 3, shipped, values).await?;
    let facts = r#"EUR [{"sku":"S"}] DHL JD01"#;
    for (status, version, expected) in
        [("paid", 2, "shipped 3"), ("shipped", 3, "shipped 3"), ("delivered", 4, "delivered 4")]
    {
        let delivered_at = if status == "delivered" { "now()" } else { "" };
        upsert(&previous, status, version, ["'USD'", "", "'UPS'", "", "", "now()", "", delivered_at, ""])
            .await?;
        let times = if status == "delivered" { "t t t f" } else { "t t f f" };
        assert_eq!(value(&session, FACTS).await?, format!("{expected} {facts} {times}"), "after {status}");
    }
    let stamped = "SELECT changed_in > 1 AND history = current_history() FROM order_summary";
    assert_eq!(value(&session, stamped).await?, "t");
    Ok(())
}

#[tokio::test]
async fn its_summaries_have_the_facts_of_each_event_in_any_sequence() -> Result<()> {
    let (_database, session, previous) = connect().await?;
    let placed = ("placed", 1, ["'EUR'", r#"'[{"sku":"S"}]'"#, "", "", "", "", "", "", ""]);
    let paid = ("paid", 2, ["'EUR'", "", "", "", "", "now()", "", "", ""]);
    let cancelled = ("cancelled", 3, ["'EUR'", "", "", "", "'late'", "now()", "", "", "now()"]);
    for events in [[placed, paid, cancelled], [cancelled, paid, placed], [paid, cancelled, placed]] {
        session.batch_execute("DELETE FROM order_summary").await?;
        for (status, version, facts) in events {
            upsert(&previous, status, version, facts).await?;
        }
        assert_eq!(
            value(&session, FACTS).await?,
            r#"cancelled 3 EUR [{"sku":"S"}] late t f f t"#,
            "{events:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn it_finds_the_rows_that_others_have_locked() -> Result<()> {
    let (database, session, previous) = connect().await?;
    store(&session, "placed", 1, "currency", "'EUR'").await?;
    assert!(previous.run("lock_rows", &[("uuid[]", IDS)]).await?.is_empty());
    let holder = database.connect().await?;
    holder.batch_execute("BEGIN; SELECT FROM order_summary FOR NO KEY UPDATE").await?;
    assert_eq!(previous.run_for_one("lock_rows", &[("uuid[]", IDS)]).await?, [ID]);
    holder.batch_execute("ROLLBACK").await?;
    // In a transaction, as in a batch.
    previous.session.batch_execute("BEGIN").await?;
    upsert(&previous, "paid", 2, [""; 9]).await?;
    assert_eq!(previous.run_for_one("rows_tried", &[]).await?, ["1"]);
    previous.session.batch_execute("COMMIT").await?;
    // A deferrable constraint would make it check each batch in parts.
    assert_eq!(previous.run_for_one("has_deferrable_constraints", &[]).await?, ["f"]);
    Ok(())
}

#[tokio::test]
async fn it_claims_events_of_both_builds() -> Result<()> {
    let (_database, session, previous) = connect().await?;
    add_events(&session).await?;
    let newest = value(&session, "SELECT max(id) FROM outbox").await?;
    let allocated = previous.run_for_one("allocated", &[("bigint", "1")]).await?;
    assert_eq!(allocated[0], newest);
    let end = (newest.parse::<i64>()? + 1).to_string();
    let scan = [("bigint", "1"), ("bigint", end.as_str()), ("bigint", allocated[1].as_str())];
    let oldest = value(&session, "SELECT min(id) FROM outbox").await?;
    // Settled once all older transactions have ended, also those of other tests.
    wait::until("the ids to be settled", Duration::from_secs(30), || async {
        let scanned = previous.run_for_one("scan_ids", &scan).await.map_err(|error| format!("{error:#}"))?;
        if scanned[..2] == ["t", &oldest] { Ok(()) } else { Err(format!("{scanned:?}")) }
    })
    .await?;
    assert_eq!(previous.run_for_one("outbox_writers", &[]).await?[0], "{}");
    assert_eq!(previous.run_for_one("observe", &[("bigint", "1")]).await?[0], "3");

    let limits = [("bigint", "4000000"), ("bigint", "4000000"), ("bigint", "1"), ("bigint", "10")];
    let claimed = previous.run("claim_events", &limits).await?;
    let kinds: Vec<_> = claimed.iter().map(|row| row[1].as_deref().unwrap_or_default()).collect();
    assert_eq!(kinds, ["order_placed", "order_shipped", "order_shipped"]);
    assert!(
        claimed.iter().all(|row| row.len() == 5 && row[2].as_deref().is_some_and(|text| text.contains(ID)))
    );
    assert_eq!(value(&session, "SELECT count(*) FROM outbox").await?, "0");
    assert_eq!(value(&session, "SELECT count(*) FROM event_log").await?, "3", "its events are logged");
    Ok(())
}

#[tokio::test]
async fn it_sets_events_aside_and_claims_them_again() -> Result<()> {
    let (_database, session, previous) = connect().await?;
    let payload = quoted(&payload("whole/order_shipped")?);
    let payloads = format!("ARRAY[{payload}]");
    let parameters = [
        ("bigint[]", "ARRAY[7]::bigint[]"),
        ("uuid[]", IDS),
        ("integer[]", "ARRAY[3]"),
        ("text[]", "ARRAY['order_shipped']"),
        ("text[]", payloads.as_str()),
        ("timestamptz[]", "ARRAY[now()]"),
    ];
    previous.run("set_aside", &parameters).await?;
    assert_eq!(previous.run_for_one("is_any_waiting", &[]).await?, ["t"]);
    let window = [("bigint", "-9223372036854775808"), ("bigint", "10")];
    assert_eq!(previous.run_for_one("waiting_window", &window).await?, ["7", "1", "7"]);

    let claim = [("bigint", "0"), ("bigint", "7"), ("bigint", "10"), ("bigint", "4000000")];
    assert_eq!(previous.run_for_one("claim_without_row", &claim).await?[..2], ["7", "order_shipped"]);
    assert!(previous.run("claim_unlocked", &claim).await?.is_empty(), "there is no row");
    store(&session, "paid", 2, "currency", "'EUR'").await?;
    assert_eq!(previous.run_for_one("claim_unlocked", &claim).await?[..2], ["7", "order_shipped"]);
    assert!(previous.run("claim_without_row", &claim).await?.is_empty(), "there is a row");

    previous.run("remove_waiting", &[("bigint[]", "ARRAY[7]::bigint[]")]).await?;
    assert_eq!(previous.run_for_one("is_any_waiting", &[]).await?, ["f"]);
    Ok(())
}

#[tokio::test]
async fn it_parks_events_and_tries_them_again() -> Result<()> {
    let (_database, session, previous) = connect().await?;
    let payload = quoted(&payload("whole/order_shipped")?);
    let payloads = format!("ARRAY[{payload}]");
    let ids = ("bigint[]", "ARRAY[7]::bigint[]");
    let parameters = [
        ids,
        ("integer[]", "ARRAY[1]"),
        ("text[]", "ARRAY['it is refused']"),
        ("bigint[]", "ARRAY[0]::bigint[]"),
        ("text[]", "ARRAY['order_shipped']"),
        ("text[]", payloads.as_str()),
        ("timestamptz[]", "ARRAY[now()]"),
    ];
    previous.run("park", &parameters).await?;
    let claim = [("bigint", "10"), ("bigint", "4000000")];
    let claimed = previous.run_for_one("claim_parked", &claim).await?;
    assert_eq!((claimed[0].as_str(), claimed[4].as_str()), ("7", "1"));

    let again =
        [ids, ("integer[]", "ARRAY[2]"), ("text[]", "ARRAY['again']"), ("bigint[]", "'{NULL}'::bigint[]")];
    previous.run("park_again", &again).await?;
    assert!(previous.run("claim_parked", &claim).await?.is_empty(), "it is left for an operator");
    let one = [("boolean", "false"), ids];
    assert_eq!(previous.run_for_one("find_parked", &one).await?[..4], ["7", "order_shipped", "again", "2"]);
    let page = [("bigint", "0"), ("bigint", "10")];
    assert_eq!(previous.run_for_one("list_parked", &page).await?[..2], ["7", "order_shipped"]);
    previous.run("postpone_parked", &[ids]).await?;
    assert!(previous.run("claim_parked", &claim).await?.is_empty(), "it is not due yet");
    assert_eq!(previous.run_for_one("make_parked_due", &one).await?, ["7"]);
    assert_eq!(previous.run_for_one("claim_parked", &claim).await?[0], "7");
    previous.run("remove_parked", &[ids]).await?;
    assert!(previous.run("find_parked", &one).await?.is_empty());

    previous.run("park", &parameters).await?;
    assert_eq!(previous.run_for_one("discard_parked", &one).await?[..2], ["7", "order_shipped"]);
    assert_eq!(value(&session, "SELECT count(*) FROM parked_events").await?, "0");
    Ok(())
}
