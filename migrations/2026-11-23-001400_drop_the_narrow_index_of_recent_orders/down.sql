CREATE INDEX CONCURRENTLY order_summary_recent ON order_summary (customer_id, placed_at DESC, order_id DESC);
