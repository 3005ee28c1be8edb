-- Serves "a customer's recent orders, newest first" in order, with index-only scans: in the table, a customer's orders
-- are spread over many heap pages. Index-only scans need vacuumed pages. The cost: `status`, `version` and `changed_in`
-- are now in an index, so no update is heap-only (HOT): each one writes to all indexes.
CREATE INDEX CONCURRENTLY order_summary_by_customer ON order_summary (customer_id, placed_at DESC, order_id DESC)
    INCLUDE (total_cents, status, item_count, last_item_sku, version, changed_in);
