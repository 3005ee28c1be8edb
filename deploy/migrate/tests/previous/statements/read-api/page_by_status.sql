-- page_by_status
-- One page of the orders in some statuses. Reads the customer's orders in index order until the page is full.
SELECT o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
FROM order_summary o
WHERE o.customer_id = $1
  AND (o.placed_at, o.order_id) < ($2, $3)
  AND o.placed_at >= $4
  AND o.status = ANY($5)
ORDER BY o.placed_at DESC, o.order_id DESC
LIMIT $6
