-- Serves "a customer's recent orders, newest first" in order, and holds all that is shown: an order that vacuum has passed
-- is read without looking into the table, where a customer's orders lie far apart. It costs updates: they touch every index now.
CREATE INDEX CONCURRENTLY order_summary_by_customer ON order_summary (customer_id, placed_at DESC, order_id DESC)
    INCLUDE (total_cents, status, item_count, last_item_sku, version, changed_in);
