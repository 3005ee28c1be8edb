//! The tables that are queried with diesel's query builder, as in `migrations/`.

diesel::table! {
    orders (order_id) {
        order_id -> Uuid,
        customer_id -> Text,
        items -> Jsonb,
        total_cents -> Int8,
        status -> Text,
        version -> Int4,
        placed_at -> Timestamptz,
        updated_at -> Timestamptz,
        currency -> Nullable<Text>,
        carrier -> Nullable<Text>,
        tracking_number -> Nullable<Text>,
        cancel_reason -> Nullable<Text>,
        paid_at -> Nullable<Timestamptz>,
        shipped_at -> Nullable<Timestamptz>,
        delivered_at -> Nullable<Timestamptz>,
        cancelled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Only the ids may be read, to measure the backlog.
    outbox (id) {
        id -> Int8,
    }
}
