-- find
-- Orders by id, with everything that is known of them.
SELECT o.customer_id,
       o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version,
       o.items, o.carrier, o.tracking_number, o.cancel_reason,
       o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at
FROM order_summary o
WHERE o.order_id = ANY($1)
