-- newest
-- The first pages of many requests without bounds. Most requests have none, and comparing with bounds costs time.
SELECT r.number,
       o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
FROM unnest($1, $2) WITH ORDINALITY AS r (customer_id, rows, number)
CROSS JOIN LATERAL (
    SELECT o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
    FROM order_summary o
    WHERE o.customer_id = r.customer_id
    ORDER BY o.placed_at DESC, o.order_id DESC
    LIMIT r.rows
) AS o
