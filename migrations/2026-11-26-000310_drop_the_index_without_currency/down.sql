CREATE INDEX CONCURRENTLY order_summary_by_customer ON order_summary (customer_id, placed_at DESC, order_id DESC)
    INCLUDE (total_cents, status, item_count, last_item_sku, version, changed_in);
