-- find
-- Orders by id, with everything that is known of them; with a customer, only if the order is that customer's.
SELECT r.number, o.customer_id,
       o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version,
       o.items, o.carrier, o.tracking_number, o.cancel_reason,
       o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at
FROM unnest($1, $2) WITH ORDINALITY AS r (order_id, customer_id, number)
JOIN order_summary o
  ON o.order_id = r.order_id
 AND (r.customer_id IS NULL OR o.customer_id = r.customer_id)
