//! The one table that this process may read, as in `migrations/`.

diesel::table! {
    order_summary (order_id) {
        order_id -> Uuid,
        customer_id -> Text,
        total_cents -> Int8,
        status -> Text,
        placed_at -> Timestamptz,
        item_count -> Int4,
        last_item_sku -> Text,
        version -> Int4,
    }
}
