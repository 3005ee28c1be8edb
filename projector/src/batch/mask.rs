//! Texts of a refused event, with their length and without their content.

use shared_events::{OrderChange, OrderItem};

/// A text with as many characters and bytes, without its content.
pub(super) fn mask(text: &str) -> String {
    let plain = |character: char| match character.len_utf8() {
        1 => 'c',
        2 => 'é',
        3 => '€',
        _ => '𝄞',
    };
    text.chars().map(plain).collect()
}

/// The same change with masked texts.
pub(super) fn masked(change: &OrderChange) -> OrderChange {
    let optional = |text: &Option<String>| text.as_deref().map(mask);
    match change {
        OrderChange::Placed { items } => {
            let items = items.iter().map(|item| OrderItem { sku: mask(&item.sku), ..item.clone() });
            OrderChange::Placed { items: items.collect() }
        }
        OrderChange::Shipped { carrier, tracking_number } => {
            OrderChange::Shipped { carrier: optional(carrier), tracking_number: optional(tracking_number) }
        }
        OrderChange::Cancelled { reason } => OrderChange::Cancelled { reason: optional(reason) },
        OrderChange::Paid | OrderChange::Delivered | OrderChange::Republished => change.clone(),
    }
}

/// How many bytes the texts of a change have.
pub(super) fn text_bytes(change: &OrderChange) -> usize {
    let optional = |text: &Option<String>| text.as_deref().map_or(0, str::len);
    match change {
        OrderChange::Placed { items } => items.iter().map(|item| item.sku.len()).sum(),
        OrderChange::Shipped { carrier, tracking_number } => optional(carrier) + optional(tracking_number),
        OrderChange::Cancelled { reason } => optional(reason),
        OrderChange::Paid | OrderChange::Delivered | OrderChange::Republished => 0,
    }
}
