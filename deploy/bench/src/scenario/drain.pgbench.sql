-- Claims, decodes, projects and deletes a batch of events, and keeps its position.
WITH claimed AS (
    DELETE FROM outbox WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM outbox WHERE id >= :start ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    )) RETURNING id, payload
), newest AS (
    SELECT DISTINCT ON (o.order_id) o.* FROM claimed, json_to_record(payload -> 'order') AS o (
        order_id uuid, customer_id text, total_cents bigint, status text, placed_at timestamptz, item_count int,
        last_item_sku text, version int
    ) ORDER BY o.order_id, o.version DESC
), projected AS (
    INSERT INTO order_summary (
        order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version, projected_at,
        changed_in, history
    )
    SELECT newest.*, now(), pg_current_xact_id()::text::bigint, (SELECT current_history()) FROM newest
    ON CONFLICT (order_id) DO UPDATE SET
        customer_id = EXCLUDED.customer_id, total_cents = EXCLUDED.total_cents, status = EXCLUDED.status,
        placed_at = EXCLUDED.placed_at, item_count = EXCLUDED.item_count, last_item_sku = EXCLUDED.last_item_sku,
        version = EXCLUDED.version, projected_at = EXCLUDED.projected_at, changed_in = EXCLUDED.changed_in,
        history = EXCLUDED.history
    WHERE order_summary.version <= EXCLUDED.version
)
SELECT max(id) AS start FROM claimed \gset
