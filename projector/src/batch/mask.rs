//! Texts of a refused event, with their length and without their content.

use shared_events::OrderItem;

/// A text with as many characters and at least as many bytes, in JSON too, without its content.
pub(super) fn mask(text: &str) -> String {
    let plain = |character: char| match character.len_utf8() {
        // JSON escapes these two: two bytes.
        1 if matches!(character, '"' | '\\') => 'é',
        1 => 'c',
        2 => 'é',
        3 => '€',
        _ => '𝄞',
    };
    text.chars().map(plain).collect()
}

/// Items with masked texts.
pub(super) fn mask_items(items: &[OrderItem]) -> Vec<OrderItem> {
    items.iter().map(|item| OrderItem { sku: mask(&item.sku), ..item.clone() }).collect()
}
