//! The tables that this process reads with diesel's query builder, as in `migrations/`.

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
        write_attempts -> Nullable<Array<Nullable<Int8>>>,
    }
}

diesel::table! {
    /// Only its ids are readable here: to see how long it is.
    outbox (id) {
        id -> Int8,
    }
}
