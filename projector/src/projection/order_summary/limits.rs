//! What the table `order_summary` refuses, known without a query. A test compares this with the table's constraints.

use chrono::{DateTime, Utc};
use shared_events::{OrderEvent, OrderFacts, OrderState};

const CUSTOMER_ID_MAX: usize = 128;
const SKU_MAX: usize = 64;
/// PostgreSQL's earliest time, in microseconds since 1970: 4714-11-24 BC. Its latest is later than any time in an
/// event.
const EARLIEST_MICROS: i64 = -210_866_803_200_000_000;

/// The first limit that `event` violates, if any, with the name of the constraint or column.
pub(super) fn first_violation(event: &OrderEvent) -> Option<String> {
    in_state(&event.order).or_else(|| in_facts(&event.facts))
}

fn in_state(order: &OrderState) -> Option<String> {
    length_violation("order_summary_customer_id_length", &order.customer_id, CUSTOMER_ID_MAX)
        .or_else(|| length_violation("order_summary_last_item_sku_length", &order.last_item_sku, SKU_MAX))
        .or_else(|| below_minimum("order_summary_total_not_negative", order.total_cents, 0))
        .or_else(|| below_minimum("order_summary_item_count_positive", order.item_count.into(), 1))
        .or_else(|| below_minimum("order_summary_version_positive", order.version.into(), 1))
        .or_else(|| unstorable_text("customer_id", Some(&order.customer_id)))
        .or_else(|| unstorable_text("last_item_sku", Some(&order.last_item_sku)))
        .or_else(|| unstorable_time("placed_at", Some(order.placed_at)))
}

/// Items can always be stored: JSON escapes what a text cannot contain.
fn in_facts(facts: &OrderFacts) -> Option<String> {
    not_a_code("order_summary_currency_is_a_code", facts.currency.as_deref())
        .or_else(|| unstorable_text("carrier", facts.carrier.as_deref()))
        .or_else(|| unstorable_text("tracking_number", facts.tracking_number.as_deref()))
        .or_else(|| unstorable_text("cancel_reason", facts.cancel_reason.as_deref()))
        .or_else(|| unstorable_time("paid_at", facts.paid_at))
        .or_else(|| unstorable_time("shipped_at", facts.shipped_at))
        .or_else(|| unstorable_time("delivered_at", facts.delivered_at))
        .or_else(|| unstorable_time("cancelled_at", facts.cancelled_at))
}

fn length_violation(constraint: &str, text: &str, max: usize) -> Option<String> {
    // A text never has more characters than bytes.
    let fits = !text.is_empty() && (text.len() <= max || text.chars().count() <= max);
    (!fits).then(|| format!("{constraint}: {} characters", text.chars().count()))
}

fn below_minimum(constraint: &str, value: i64, least: i64) -> Option<String> {
    (value < least).then(|| format!("{constraint}: {value}"))
}

fn not_a_code(constraint: &str, currency: Option<&str>) -> Option<String> {
    let currency = currency?;
    let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    (!is_code).then(|| format!("{constraint}: {currency:?}"))
}

fn unstorable_text(column: &str, text: Option<&str>) -> Option<String> {
    text?.contains('\0').then(|| format!("{column}: a text with a NUL character cannot be stored"))
}

fn unstorable_time(column: &str, time: Option<DateTime<Utc>>) -> Option<String> {
    let time = time?;
    (time.timestamp_micros() < EARLIEST_MICROS).then(|| format!("{column}: {time} cannot be stored"))
}
