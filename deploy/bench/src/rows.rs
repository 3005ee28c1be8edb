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
    let identity = r#""order_id":"%1$s","customer_id":"%2$s","status":"placed","version":1"#;
    let totals = format!(r#""total_cents":{TOTAL_CENTS},"item_count":3,"last_item_sku":"SKU-00003""#);
    let order = format!(r#"{{{identity},{totals},"placed_at":"%3$s"}}"#);
    let head = r#""event_id":"%1$s","schema_version":1,"occurred_at":"%3$s""#;
    let event = format!(r#"{{{head},"order":{order},"items":{ITEMS},"currency":"{CURRENCY}"}}"#);
    let insert = format!(
        "INSERT INTO outbox (kind, payload)
         SELECT 'order_placed', format('{event}', {ORDER_ID}, {customer_id},
             to_char({PLACED_AT} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))::json
         FROM {numbers} AS n ORDER BY n",
        customer_id = customer_id(customers),
        numbers = series(&orders),
    );
    Ok(stage.session.batch_execute(&insert).await?)
}

fn series(orders: &Range<u32>) -> String {
    format!("generate_series({}, {})", orders.start, orders.end.saturating_sub(1))
}
