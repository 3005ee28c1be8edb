-- The read model for lists: one flat row per order. Written by the projector, read by read-api.
CREATE TABLE order_summary (
    order_id      uuid        PRIMARY KEY,
    customer_id   text        NOT NULL,
    total_cents   bigint      NOT NULL,
    status        text        NOT NULL,
    placed_at     timestamptz NOT NULL,
    item_count    integer     NOT NULL,
    last_item_sku text        NOT NULL,
    version       integer     NOT NULL,
    projected_at  timestamptz NOT NULL DEFAULT now(),

    -- The limits of the event contract. A much longer text would not fit into the index. An event that a CHECK refuses
    -- is parked at once.
    CONSTRAINT order_summary_customer_id_length CHECK (char_length(customer_id) BETWEEN 1 AND 128),
    CONSTRAINT order_summary_last_item_sku_length CHECK (char_length(last_item_sku) BETWEEN 1 AND 64),
    CONSTRAINT order_summary_total_not_negative CHECK (total_cents >= 0),
    CONSTRAINT order_summary_status_known CHECK (status IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled')),
    CONSTRAINT order_summary_item_count_positive CHECK (item_count >= 1),
    CONSTRAINT order_summary_version_positive CHECK (version >= 1)
);

-- Serves "a customer's recent orders, newest first" without a sort, however many orders the customer has.
CREATE INDEX order_summary_recent ON order_summary (customer_id, placed_at DESC, order_id DESC);

-- An upsert reads the conflicting row, which needs SELECT.
GRANT SELECT, INSERT, UPDATE ON order_summary TO orders_projector;
GRANT SELECT ON order_summary TO orders_read_api;
