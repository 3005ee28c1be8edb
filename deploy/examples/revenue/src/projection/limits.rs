//! What the tables refuse, known without a query.

use chrono::Datelike;
use shared_events::{OrderEvent, OrderItem};

const SKU_MAX: usize = 64;

/// The first limit that `event` violates, if any.
pub(super) fn first_violation(event: &OrderEvent) -> Option<String> {
    let OrderEvent { order, facts, .. } = event;
    let is_code =
        |currency: &String| currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    if order.version < 1 {
        return Some(format!("orders_version_positive: {}", order.version));
    }
    if order.total_cents < 0 {
        return Some(format!("orders_total_not_negative: {}", order.total_cents));
    }
    if let Some(paid_at) = facts.paid_at.filter(|paid_at| !(0..=9999).contains(&paid_at.year())) {
        return Some(format!("orders_paid_month_readable: {paid_at}"));
    }
    if let Some(currency) = facts.currency.as_ref().filter(|currency| !is_code(currency)) {
        return Some(format!("orders_currency_is_a_code: {currency:?}"));
    }
    facts.items.iter().flatten().find_map(refused_sku)
}

fn refused_sku(OrderItem { sku, .. }: &OrderItem) -> Option<String> {
    let length = sku.chars().count();
    if sku.contains('\0') {
        return Some("sku: a text with a NUL character cannot be stored".to_owned());
    }
    (!(1..=SKU_MAX).contains(&length)).then(|| format!("by_sku_length: {length} characters"))
}
