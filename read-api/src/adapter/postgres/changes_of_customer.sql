-- changes_of_customer
SELECT o.order_id, o.total_cents, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
FROM order_summary o
WHERE o.customer_id = $1
  AND o.changed_in >= $2
  -- Only transaction ids that exist so far. Rows of a restored dump may carry higher ones, of another history: they are no
  -- changes.
  AND o.changed_in < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
-- The order of the index on customers: it keeps the planner from reading the changes of all customers instead.
ORDER BY o.placed_at DESC, o.order_id DESC
LIMIT $3
