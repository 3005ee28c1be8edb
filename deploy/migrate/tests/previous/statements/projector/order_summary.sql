-- order_summary
-- Writes the newest state of each order, and fills in facts that are not known yet. Nothing removes or changes a fact.
-- An older version changes nothing, unless it brings such a fact. Then the state stays.
INSERT INTO order_summary AS known (
    order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version,
    projected_at, changed_in, history,
    currency, items, carrier, tracking_number, cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at
)
-- In the order of the table's columns, which saves copying each row once more.
SELECT
    order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version,
    now(),
    pg_current_xact_id()::text::bigint,
    -- In a subquery, so that PostgreSQL calls it once a statement, not once a row: it reads a file.
    (SELECT current_history()),
    currency, items, carrier, tracking_number, cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at
-- An array may be shorter than the others: the rest of its column is NULL.
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) AS t (
    order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version,
    currency, items, carrier, tracking_number, cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at
)
ON CONFLICT (order_id) DO UPDATE
SET customer_id = CASE WHEN known.version <= EXCLUDED.version THEN EXCLUDED.customer_id ELSE known.customer_id END,
    total_cents = CASE WHEN known.version <= EXCLUDED.version THEN EXCLUDED.total_cents ELSE known.total_cents END,
    status = CASE WHEN known.version <= EXCLUDED.version THEN EXCLUDED.status ELSE known.status END,
    placed_at = CASE WHEN known.version <= EXCLUDED.version THEN EXCLUDED.placed_at ELSE known.placed_at END,
    item_count = CASE WHEN known.version <= EXCLUDED.version THEN EXCLUDED.item_count ELSE known.item_count END,
    last_item_sku =
        CASE WHEN known.version <= EXCLUDED.version THEN EXCLUDED.last_item_sku ELSE known.last_item_sku END,
    version = greatest(known.version, EXCLUDED.version),
    currency = coalesce(known.currency, EXCLUDED.currency),
    items = coalesce(known.items, EXCLUDED.items),
    carrier = coalesce(known.carrier, EXCLUDED.carrier),
    tracking_number = coalesce(known.tracking_number, EXCLUDED.tracking_number),
    cancel_reason = coalesce(known.cancel_reason, EXCLUDED.cancel_reason),
    paid_at = coalesce(known.paid_at, EXCLUDED.paid_at),
    shipped_at = coalesce(known.shipped_at, EXCLUDED.shipped_at),
    delivered_at = coalesce(known.delivered_at, EXCLUDED.delivered_at),
    cancelled_at = coalesce(known.cancelled_at, EXCLUDED.cancelled_at),
    -- Also where only a fact was filled in: streams send what has changed, and resume, by these columns.
    projected_at = EXCLUDED.projected_at,
    changed_in = EXCLUDED.changed_in,
    history = EXCLUDED.history
WHERE known.version <= EXCLUDED.version
    OR (known.currency IS NULL AND EXCLUDED.currency IS NOT NULL)
    OR (known.items IS NULL AND EXCLUDED.items IS NOT NULL)
    OR (known.carrier IS NULL AND EXCLUDED.carrier IS NOT NULL)
    OR (known.tracking_number IS NULL AND EXCLUDED.tracking_number IS NOT NULL)
    OR (known.cancel_reason IS NULL AND EXCLUDED.cancel_reason IS NOT NULL)
    OR (known.paid_at IS NULL AND EXCLUDED.paid_at IS NOT NULL)
    OR (known.shipped_at IS NULL AND EXCLUDED.shipped_at IS NOT NULL)
    OR (known.delivered_at IS NULL AND EXCLUDED.delivered_at IS NOT NULL)
    OR (known.cancelled_at IS NULL AND EXCLUDED.cancelled_at IS NOT NULL)
