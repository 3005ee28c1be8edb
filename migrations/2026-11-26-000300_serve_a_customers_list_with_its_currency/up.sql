-- Serves "a customer's recent orders, newest first" with index-only scans, currency included. It replaces
-- order_summary_by_customer, which the next migration drops: until then older read-api processes use either.
CREATE INDEX CONCURRENTLY order_summary_of_customer ON order_summary (customer_id, placed_at DESC, order_id DESC)
    INCLUDE (total_cents, currency, status, item_count, last_item_sku, version, changed_in);
