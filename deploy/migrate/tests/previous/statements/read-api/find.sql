-- find
-- Orders by id.
SELECT o.customer_id,
       o.order_id, o.total_cents, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
FROM order_summary o
WHERE o.order_id = ANY($1)
