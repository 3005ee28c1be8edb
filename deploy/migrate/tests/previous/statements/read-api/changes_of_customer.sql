-- changes_of_customer
-- The orders of one customer that were written by a given transaction or a later one.
SELECT o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
FROM order_summary o
WHERE o.customer_id = $1
  AND o.changed_in >= $2
  -- Only transaction ids that this server has assigned. Rows of a restored dump may have higher ones: these belong to
  -- another history and are no changes.
  AND o.changed_in < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
-- The sort of the index on customers. Without it, the planner may read the changes of all customers instead.
ORDER BY o.placed_at DESC, o.order_id DESC
LIMIT $3
