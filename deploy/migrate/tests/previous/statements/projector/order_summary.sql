-- order_summary
-- Writes the newest state of each order. An older version changes nothing.
INSERT INTO order_summary (
    order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version, projected_at, changed_in,
    history
)
SELECT
    t.*,
    now(),
    pg_current_xact_id()::text::bigint,
    -- In a subquery, so that PostgreSQL calls it once a statement, not once a row: it reads a file.
    (SELECT current_history())
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS t
ON CONFLICT (order_id) DO UPDATE
SET customer_id = EXCLUDED.customer_id,
    total_cents = EXCLUDED.total_cents,
    status = EXCLUDED.status,
    placed_at = EXCLUDED.placed_at,
    item_count = EXCLUDED.item_count,
    last_item_sku = EXCLUDED.last_item_sku,
    version = EXCLUDED.version,
    projected_at = EXCLUDED.projected_at,
    changed_in = EXCLUDED.changed_in,
    history = EXCLUDED.history
WHERE order_summary.version <= EXCLUDED.version
