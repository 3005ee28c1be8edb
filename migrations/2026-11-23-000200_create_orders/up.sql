-- The orders: one row per aggregate. Owned by write-api.
CREATE TABLE orders (
    order_id    uuid        PRIMARY KEY,
    customer_id text        NOT NULL,
    items       jsonb       NOT NULL,
    total_cents bigint      NOT NULL,
    status      text        NOT NULL,
    version     integer     NOT NULL,
    placed_at   timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,

    CONSTRAINT orders_customer_id_length CHECK (char_length(customer_id) BETWEEN 1 AND 128),
    CONSTRAINT orders_items_count CHECK (
        CASE WHEN jsonb_typeof(items) = 'array' THEN jsonb_array_length(items) BETWEEN 1 AND 500 ELSE false END
    ),
    CONSTRAINT orders_total_not_negative CHECK (total_cents >= 0),
    CONSTRAINT orders_status_known CHECK (status IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled')),
    CONSTRAINT orders_version_positive CHECK (version >= 1),
    -- Version 1 is the placed order. Each step increases the version and leaves `placed` for good.
    CONSTRAINT orders_version_fits_status CHECK ((version = 1) = (status = 'placed'))
);

GRANT SELECT, INSERT, UPDATE ON orders TO orders_write_api;
