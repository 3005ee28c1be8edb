-- reached
-- Those of the orders that have at least the given version; with a customer, only if the order is that customer's.
SELECT o.customer_id,
       o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version,
       o.items, o.carrier, o.tracking_number, o.cancel_reason,
       o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at
FROM unnest($1, $2, $3) AS w (order_id, version, customer_id)
JOIN order_summary o
  ON o.order_id = w.order_id
 AND o.version >= w.version
 AND (w.customer_id IS NULL OR o.customer_id = w.customer_id)
