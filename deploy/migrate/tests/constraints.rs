//! Each CHECK refuses the rows that it must refuse.

use anyhow::{Context, Result};
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const ORDER: &str = "INSERT INTO orders VALUES
    (gen_random_uuid(), 'c', '[{}]', 1, 'placed', 1, now(), now())";
const PAID: &str =
    "INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at,
    updated_at, currency, paid_at) VALUES
    (gen_random_uuid(), 'c', '[{}]', 1, 'paid', 2, now(), now(), 'EUR', now())";
const SHIPPED: &str =
    "INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at,
    updated_at, shipped_at, carrier, tracking_number) VALUES
    (gen_random_uuid(), 'c', '[{}]', 1, 'shipped', 3, now(), now(), now(), 'DHL', 'JD01')";
const DELIVERED: &str =
    "INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at,
    updated_at, delivered_at) VALUES
    (gen_random_uuid(), 'c', '[{}]', 1, 'delivered', 4, now(), now(), now())";
const CANCELLED: &str =
    "INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at,
    updated_at, paid_at, cancelled_at, cancel_reason) VALUES
    (gen_random_uuid(), 'c', '[{}]', 1, 'cancelled', 3, now(), now(), now(), now(), 'late')";
const SUMMARY_IN_EUROS: &str =
    "INSERT INTO order_summary (order_id, customer_id, total_cents, status, placed_at,
    item_count, last_item_sku, version, currency) VALUES
    (gen_random_uuid(), 'c', 1, 'placed', now(), 1, 'sku', 1, 'EUR')";
const SUMMARY: &str = "INSERT INTO order_summary VALUES
    (gen_random_uuid(), 'c', 1, 'placed', now(), 1, 'sku', 1, now())";
const EVENT: &str = "INSERT INTO outbox (kind, payload, created_at, traceparent)
    VALUES ('k', '{}', now(), repeat('t', 55))";
const PARKED_AT: &str =
    "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, parked_at) VALUES
    (2, 'k', '{}', '2026-01-01', 1, 'e', now())";
const RETRIED_AT: &str =
    "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at) VALUES
    (3, 'k', '{}', '2026-01-01', 1, 'e', now())";
const WAITING: &str = "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at,
    traceparent) VALUES (1, gen_random_uuid(), 1, 'k', '{}', now(), repeat('t', 55))";
const PARKED: &str = "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, traceparent)
    VALUES (1, 'k', '{}', now(), 1, 'e', repeat('t', 55))";
const LOG_STATE: &str = "UPDATE event_log_state SET is_only = true, retention_days = 7";

const SUBSCRIPTION: &str = "INSERT INTO subscriptions (name, state, failures, next_attempt_at, last_error)
    VALUES ('s', 'running', 0, now(), 'e')";
const CHECKPOINT: &str =
    "INSERT INTO subscription_checkpoints (subscription, generation, checkpoint, history, moved_at)
    VALUES ('s', 1, 0, 1, now())";
const SUBSCRIPTION_PARKED: &str =
    "INSERT INTO subscription_parked (subscription, position, kind, payload, recorded_at, attempts, error,
    parked_at, next_attempt_at, traceparent) VALUES
    ('s', 1, 'k', '{}', '2026-01-01', 0, 'e', '2026-01-02', '2026-01-03', repeat('t', 55))";
const ENDPOINT: &str =
    "INSERT INTO webhook_endpoints (slot, url, kinds, state, paused_reason, failures, failing_since) VALUES
    (1, 'https://a.example/', '{}', 'paused', 'gone', 3, now())";
const SECRET: &str = "INSERT INTO webhook_secrets (endpoint, secret) VALUES
    ((SELECT max(id) FROM webhook_endpoints), repeat('s', 24)::bytea)";
const DELIVERY: &str =
    "INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at,
    recorded_at, failures, first_failed_at, traceparent) VALUES ((SELECT max(id) FROM webhook_endpoints), 1,
    gen_random_uuid(), gen_random_uuid(), 'k', '{}', now(), now(), 3, now(), repeat('t', 55))";
const ATTEMPT: &str = "INSERT INTO webhook_attempts (endpoint, position, event_id, latency_ms, error) VALUES
    ((SELECT max(id) FROM webhook_endpoints), 1, gen_random_uuid(), 1, 'refused')";

/// A valid statement, a replacement in it, and the constraint that must refuse the result.
const BROKEN: [(&str, &str, &str, &str); 97] = [
    (ORDER, "'c'", "''", "orders_customer_id_length"),
    (ORDER, "'c'", "repeat('c', 129)", "orders_customer_id_length"),
    (ORDER, "'c'", "'.'", "orders_customer_id_addressable"),
    (ORDER, "'c'", "'..'", "orders_customer_id_addressable"),
    (ORDER, "'c'", "' c'", "orders_customer_id_addressable"),
    (ORDER, "'[{}]'", "'[]'", "orders_items_count"),
    (ORDER, "'[{}]'", "'{}'", "orders_items_count"),
    (ORDER, "'[{}]'", "'null'", "orders_items_count"),
    (ORDER, "'[{}]'", "to_jsonb(array_fill(1, ARRAY[501]))", "orders_items_count"),
    (ORDER, "1, 'placed'", "-1, 'placed'", "orders_total_not_negative"),
    (ORDER, "1, 'placed'", "9007199254740992, 'placed'", "orders_total_exact"),
    (ORDER, "'placed', 1", "'lost', 2", "orders_status_known"),
    (ORDER, "'placed', 1", "'cancelled', 0", "orders_version_positive"),
    (ORDER, "'placed', 1", "'placed', 2", "orders_version_fits_status"),
    (ORDER, "'placed', 1", "'paid', 1", "orders_version_fits_status"),
    (PAID, "'EUR'", "''", "orders_currency_is_a_code"),
    (PAID, "'EUR'", "'EU'", "orders_currency_is_a_code"),
    (PAID, "'EUR'", "'EURO'", "orders_currency_is_a_code"),
    (PAID, "'EUR'", "'eur'", "orders_currency_is_a_code"),
    (PAID, "'EUR'", "'ÄÖÜ'", "orders_currency_is_a_code"),
    (PAID, "'paid', 2", "'placed', 1", "orders_payment_fits_status"),
    (CANCELLED, "'cancelled', 3", "'cancelled', 2", "orders_payment_fits_status"),
    (SHIPPED, "'DHL'", "''", "orders_carrier_length"),
    (SHIPPED, "'DHL'", "repeat('c', 65)", "orders_carrier_length"),
    (SHIPPED, "'JD01'", "''", "orders_tracking_number_length"),
    (SHIPPED, "'JD01'", "repeat('n', 129)", "orders_tracking_number_length"),
    (SHIPPED, "'shipped', 3", "'paid', 2", "orders_shipment_fits_status"),
    (
        SHIPPED,
        "'shipped', 3, now(), now(), now()",
        "'paid', 2, now(), now(), NULL",
        "orders_shipment_fits_status",
    ),
    (SHIPPED, "'shipped', 3", "'cancelled', 3", "orders_shipment_fits_status"),
    (DELIVERED, "'delivered', 4", "'shipped', 3", "orders_delivery_fits_status"),
    (CANCELLED, "'late'", "''", "orders_cancel_reason_length"),
    (CANCELLED, "'late'", "repeat('r', 501)", "orders_cancel_reason_length"),
    (CANCELLED, "'cancelled', 3", "'paid', 2", "orders_cancellation_fits_status"),
    (SUMMARY_IN_EUROS, "'EUR'", "'eur'", "order_summary_currency_is_a_code"),
    (SUMMARY, "'c'", "''", "order_summary_customer_id_length"),
    (SUMMARY, "'c'", "repeat('c', 129)", "order_summary_customer_id_length"),
    (SUMMARY, "'sku'", "''", "order_summary_last_item_sku_length"),
    (SUMMARY, "'sku'", "repeat('s', 65)", "order_summary_last_item_sku_length"),
    (SUMMARY, "1, 'placed'", "-1, 'placed'", "order_summary_total_not_negative"),
    (SUMMARY, "'placed'", "'lost'", "order_summary_status_known"),
    (SUMMARY, "1, 'sku'", "0, 'sku'", "order_summary_item_count_positive"),
    (SUMMARY, "'sku', 1", "'sku', 0", "order_summary_version_positive"),
    (EVENT, "'k'", "''", "outbox_kind_length"),
    (EVENT, "'k'", "repeat('k', 65)", "outbox_kind_length"),
    (EVENT, "55", "54", "outbox_traceparent_length"),
    (WAITING, "55", "56", "waiting_events_traceparent_length"),
    (PARKED, "55", "0", "parked_events_traceparent_length"),
    (SUBSCRIPTION_PARKED, "55", "54", "subscription_parked_traceparent_length"),
    (DELIVERY, "55", "54", "deliveries_traceparent_length"),
    (EVENT, "now()", "'infinity'", "outbox_created_at_finite"),
    (EVENT, "now()", "'-infinity'", "outbox_created_at_finite"),
    (EVENT, "now()", "'290000-01-01'", "outbox_created_at_readable"),
    (EVENT, "now()", "'10000-01-01 00:00:00+00'", "outbox_created_at_readable"),
    (EVENT, "now()", "'0001-12-31 23:59:59+00 BC'", "outbox_created_at_readable"),
    (PARKED, "now()", "'290000-01-01'", "parked_events_times_readable"),
    (PARKED, "now()", "'infinity'", "parked_events_times_readable"),
    (PARKED, "now()", "'-infinity'", "parked_events_times_readable"),
    (PARKED_AT, "now()", "'290000-01-01'", "parked_events_times_readable"),
    (RETRIED_AT, "now()", "'290000-01-01'", "parked_events_times_readable"),
    (RETRIED_AT, "now()", "'-infinity'", "parked_events_times_readable"),
    (WAITING, "now()", "'290000-01-01'", "waiting_events_created_at_readable"),
    (WAITING, "now()", "'-infinity'", "waiting_events_created_at_readable"),
    (LOG_STATE, "true", "false", "event_log_state_is_one_row"),
    (LOG_STATE, "7", "91", "event_log_state_retention"),
    (LOG_STATE, "7", "-1", "event_log_state_retention"),
    (PARKED, "1, 'e'", "0, 'e'", "parked_events_attempts_positive"),
    (SUBSCRIPTION, "'s'", "''", "subscriptions_name_length"),
    (SUBSCRIPTION, "'s'", "repeat('s', 129)", "subscriptions_name_length"),
    (SUBSCRIPTION, "'running'", "'stopped'", "subscriptions_state_known"),
    (SUBSCRIPTION, "0, now()", "-1, now()", "subscriptions_failures_not_negative"),
    (SUBSCRIPTION, "'e'", "repeat('e', 2001)", "subscriptions_last_error_length"),
    (SUBSCRIPTION, "now()", "'infinity'", "subscriptions_times_readable"),
    (CHECKPOINT, "0, 1", "-1, 1", "subscription_checkpoints_not_negative"),
    (CHECKPOINT, "now()", "'-infinity'", "subscription_checkpoints_times_readable"),
    (CHECKPOINT, "now()", "'infinity'", "subscription_checkpoints_times_readable"),
    (SUBSCRIPTION_PARKED, "0, 'e'", "-1, 'e'", "subscription_parked_attempts_not_negative"),
    (SUBSCRIPTION_PARKED, "'e'", "repeat('e', 2001)", "subscription_parked_error_length"),
    (SUBSCRIPTION_PARKED, "'2026-01-01'", "'-infinity'", "subscription_parked_times_readable"),
    (SUBSCRIPTION_PARKED, "'2026-01-02'", "'infinity'", "subscription_parked_times_readable"),
    (SUBSCRIPTION_PARKED, "'2026-01-03'", "'10000-01-01 00:00:00+00'", "subscription_parked_times_readable"),
    (ENDPOINT, "1,", "0,", "webhook_endpoints_slot_in_range"),
    (ENDPOINT, "1,", "101,", "webhook_endpoints_slot_in_range"),
    (ENDPOINT, "'https://a.example/'", "''", "webhook_endpoints_url_length"),
    (ENDPOINT, "'https://a.example/'", "repeat('é', 1025)", "webhook_endpoints_url_length"),
    (ENDPOINT, "'{}'", "array_fill('order_paid'::text, ARRAY[101])", "webhook_endpoints_kinds_count"),
    (ENDPOINT, "'paused', 'gone'", "'stopped', NULL", "webhook_endpoints_state_known"),
    (ENDPOINT, "'paused', 'gone'", "'active', 'gone'", "webhook_endpoints_reason_fits_state"),
    (ENDPOINT, "'paused', 'gone'", "'paused', NULL", "webhook_endpoints_reason_fits_state"),
    (ENDPOINT, "'paused', 'gone'", "'paused', 'tired'", "webhook_endpoints_reason_known"),
    (ENDPOINT, "3, now()", "0, now()", "webhook_endpoints_failures_fit"),
    (ENDPOINT, "3, now()", "3, NULL", "webhook_endpoints_failures_fit"),
    (SECRET, "repeat('s', 24)", "repeat('s', 23)", "webhook_secrets_length"),
    (SECRET, "repeat('s', 24)", "repeat('s', 65)", "webhook_secrets_length"),
    (DELIVERY, "3, now()", "0, now()", "deliveries_failures_fit"),
    (DELIVERY, "3, now()", "3, NULL", "deliveries_failures_fit"),
    (ATTEMPT, "'refused'", "repeat('e', 501)", "webhook_attempts_error_length"),
    (PARKED, "(1,", "(NULL,", ""),
];

async fn refusal(session: &Client, statement: &str) -> Result<(SqlState, String)> {
    let error = session.batch_execute(statement).await.err().context("the statement was accepted")?;
    let refused = error.as_db_error().context("not PostgreSQL's refusal")?;
    Ok((refused.code().clone(), refused.constraint().unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn each_constraint_refuses_invalid_rows() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    for good in [
        ORDER,
        PAID,
        SHIPPED,
        DELIVERED,
        CANCELLED,
        SUMMARY,
        SUMMARY_IN_EUROS,
        EVENT,
        PARKED,
        PARKED_AT,
        RETRIED_AT,
        WAITING,
        SUBSCRIPTION,
        SUBSCRIPTION_PARKED,
        LOG_STATE,
        ENDPOINT,
        SECRET,
        DELIVERY,
        ATTEMPT,
    ] {
        session.batch_execute(good).await.context(good)?;
    }
    for (good, part, broken_part, constraint) in BROKEN {
        assert!(good.contains(part), "{part} is not in {good}");
        let statement = good.replacen(part, broken_part, 1);
        let (code, by) = refusal(&session, &statement).await.context(statement.clone())?;
        let expected =
            if constraint.is_empty() { SqlState::NOT_NULL_VIOLATION } else { SqlState::CHECK_VIOLATION };
        assert_eq!((code, by.as_str()), (expected, constraint), "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn every_check_constraint_of_the_schema_is_tested() -> Result<()> {
    let database = TestDatabase::create().await?;
    let query = "SELECT conname::text FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
                 WHERE c.contype = 'c' AND t.relnamespace = 'public'::regnamespace";
    for row in database.connect().await?.query(query, &[]).await? {
        let name: &str = row.get(0);
        assert!(BROKEN.iter().any(|(.., constraint)| *constraint == name), "nothing tries to break {name}");
    }
    Ok(())
}
