-- Serves "a customer's recent orders, newest first" in order, with index-only scans: in the table, a customer's orders
-- are spread over many pages. Pages must be vacuumed for this. The cost: every update now writes to all indexes.
CREATE INDEX CONCURRENTLY order_summary_by_customer ON order_summary (customer_id, placed_at DESC, order_id DESC)
    INCLUDE (total_cents, status, item_count, last_item_sku, version, changed_in);
