//! The rows with which a scenario starts.

use std::ops::Range;

use anyhow::Result;

use crate::stage::Stage;

/// The id of order n, from 1. Ids grow with time, as those of the service.
const ORDER_ID: &str = "lpad(to_hex(n), 32, '0')::uuid";
const PLACED_AT: &str = "(timestamptz '2026-01-01 00:00Z' + n * interval '1 second')";
const ITEMS: &str = concat!(
    r#"[{"sku":"SKU-00001","quantity":1,"price_cents":450},"#,
    r#"{"sku":"SKU-00002","quantity":2,"price_cents":1999},"#,
    r#"{"sku":"SKU-00003","quantity":1,"price_cents":5900}]"#,
);
const CURRENCY: &str = "EUR";
const TOTAL_CENTS: u32 = 10_348;

/// SQL for the customer of order n: all customers have the same number of orders, spread evenly.
fn customer_id(customers: u32) -> String {
    format!("'customer-' || n % {customers} + 1")
}

/// Stores these orders on the write side, without events.
pub(crate) async fn fill_orders(stage: &Stage, orders: Range<u32>, customers: u32) -> Result<()> {
    let insert = format!(
        "INSERT INTO orders
         (order_id, customer_id, items, currency, total_cents, status, version, placed_at, updated_at)
         SELECT {ORDER_ID}, {customer_id}, '{ITEMS}', '{CURRENCY}', {TOTAL_CENTS}, 'placed', 1, {PLACED_AT},
                {PLACED_AT}
         FROM {numbers} AS n",
        customer_id = customer_id(customers),
        numbers = series(&orders),
    );
    Ok(stage.session.batch_execute(&insert).await?)
}

/// Stores these orders on the read side. The large indexes are built afterwards, which is faster.
pub(crate) async fn fill_summaries(stage: &Stage, orders: Range<u32>, customers: u32) -> Result<()> {
    let definitions = "SELECT string_agg(pg_get_indexdef(indexrelid), '; ') FROM pg_index
        WHERE indexrelid IN ('order_summary_of_customer'::regclass, 'order_summary_by_status'::regclass)";
    let indexes = stage.session.query_one(definitions, &[]).await?;
    let insert = format!(
        "DROP INDEX order_summary_of_customer, order_summary_by_status;
         INSERT INTO order_summary
         (order_id, customer_id, total_cents, currency, status, placed_at, item_count, last_item_sku, version, history,
          items)
         SELECT {ORDER_ID}, {customer_id}, {TOTAL_CENTS}, '{CURRENCY}', 'placed', {PLACED_AT}, 3, 'SKU-00003', 1,
                (SELECT current_history()), '{ITEMS}'
         FROM {numbers} AS n;
         {indexes}",
        customer_id = customer_id(customers),
        numbers = series(&orders),
        indexes = indexes.get::<_, &str>(0),
    );
    Ok(stage.session.batch_execute(&insert).await?)
}

/// Removes the summaries from order `first` on, including their dead rows.
pub(crate) async fn remove_summaries(stage: &Stage, first: u32) -> Result<()> {
    let delete = format!(
        "DELETE FROM order_summary WHERE order_id >= (SELECT {ORDER_ID} FROM (VALUES ({first})) AS first (n))"
    );
    stage.session.batch_execute(&delete).await?;
    // By default VACUUM keeps the index entries of few dead rows.
    Ok(stage.session.batch_execute("VACUUM (INDEX_CLEANUP ON) order_summary").await?)
}

/// Writes one event for each of these orders to the outbox, in one transaction.
pub(crate) async fn fill_outbox(stage: &Stage, orders: Range<u32>, customers: u32) -> Result<()> {
    let insert = format!(
        "INSERT INTO outbox (kind, payload)
         SELECT 'order_placed', {event}
         FROM {numbers} AS n ORDER BY n",
        event = event(customers, ORDER_ID, "'placed'", "1", "''"),
        numbers = series(&orders),
    );
    Ok(stage.session.batch_execute(&insert).await?)
}

/// The events of an order by [`fill_versions`].
pub(crate) const VERSIONS: u32 = 3;

/// Writes the events of these orders to the outbox, in one transaction: each order is placed, paid and shipped, with
/// a thousand events of others between.
pub(crate) async fn fill_versions(stage: &Stage, orders: Range<u32>, customers: u32) -> Result<()> {
    let event_id = "lpad(to_hex(n::bigint * 4 + version), 32, '0')::uuid";
    let insert = format!(
        "INSERT INTO outbox (kind, payload)
         SELECT 'order_' || status, {event}
         FROM {numbers} AS n, (VALUES
             (1, 'placed', ''),
             (2, 'paid', ',\"paid_at\":\"2026-11-18T11:07:40Z\"'),
             (3, 'shipped', ',\"carrier\":\"DHL\",\"tracking_number\":\"JD0146000\",'
                 '\"paid_at\":\"2026-11-18T11:07:40Z\",\"shipped_at\":\"2026-11-18T11:08:40Z\"')
         ) AS step (version, status, facts)
         ORDER BY n + version * 1000, n",
        event = event(customers, event_id, "status", "version", "facts"),
        numbers = series(&orders),
    );
    Ok(stage.session.batch_execute(&insert).await?)
}

/// SQL for the event of order n, with SQL for its id, its status, its version and the facts of its step.
fn event(customers: u32, event_id: &str, status: &str, version: &str, facts: &str) -> String {
    let identity = r#""order_id":"%1$s","customer_id":"%2$s","status":"%5$s","version":%6$s"#;
    let totals = format!(r#""total_cents":{TOTAL_CENTS},"item_count":3,"last_item_sku":"SKU-00003""#);
    let order = format!(r#"{{{identity},{totals},"placed_at":"%3$s"}}"#);
    let head = r#""event_id":"%4$s","schema_version":1,"occurred_at":"%3$s""#;
    let event = format!(r#"{{{head},"order":{order},"items":{ITEMS},"currency":"{CURRENCY}"%7$s}}"#);
    format!(
        "format('{event}', {ORDER_ID}, {customer_id},
             to_char({PLACED_AT} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
             {event_id}, {status}, {version}, {facts})::json",
        customer_id = customer_id(customers),
    )
}

fn series(orders: &Range<u32>) -> String {
    format!("generate_series({}, {})", orders.start, orders.end.saturating_sub(1))
}
