-- pages
-- The pages of many requests with bounds: a page starts after a position, and its orders were placed at `placed_from`
-- or later.
SELECT r.number,
       o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY
     AS r (customer_id, rows, before_placed_at, before_order_id, placed_from, number)
CROSS JOIN LATERAL (
    SELECT o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
    FROM order_summary o
    WHERE o.customer_id = r.customer_id
      AND (o.placed_at, o.order_id) < (r.before_placed_at, r.before_order_id)
      AND o.placed_at >= r.placed_from
    ORDER BY o.placed_at DESC, o.order_id DESC
    LIMIT r.rows
) AS o
