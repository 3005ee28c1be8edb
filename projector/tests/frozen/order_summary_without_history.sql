INSERT INTO order_summary (
order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version, projected_at, changed_in)
SELECT t.*, now(), pg_current_xact_id()::text::bigint
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS t
ON CONFLICT (order_id) DO UPDATE SET
customer_id = EXCLUDED.customer_id, total_cents = EXCLUDED.total_cents, status = EXCLUDED.status,
placed_at = EXCLUDED.placed_at,
item_count = EXCLUDED.item_count, last_item_sku = EXCLUDED.last_item_sku,
version = EXCLUDED.version, projected_at = EXCLUDED.projected_at, changed_in = EXCLUDED.changed_in
WHERE order_summary.version <= EXCLUDED.version
