-- Claims, decodes, projects and deletes a batch of events, and keeps its position.
WITH claimed AS (
    DELETE FROM outbox WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM outbox WHERE id >= :start ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    )) RETURNING id, payload
), events AS (
    SELECT state.*, facts.*
    FROM claimed, json_to_record(payload) AS facts (
        "order" json, currency text, items json, carrier text, tracking_number text, reason text, paid_at timestamptz,
        shipped_at timestamptz, delivered_at timestamptz, cancelled_at timestamptz
    ), json_to_record("order") AS state (
        order_id uuid, customer_id text, total_cents bigint, status text, placed_at timestamptz, item_count int,
        last_item_sku text, version int
    )
), states AS (
    SELECT DISTINCT ON (order_id)
        order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version
    FROM events ORDER BY order_id, version DESC
), facts AS (
    SELECT order_id, min(currency) AS currency, (array_agg(items) FILTER (WHERE items IS NOT NULL))[1] AS items,
        min(carrier) AS carrier, min(tracking_number) AS tracking_number, min(reason) AS cancel_reason,
        min(paid_at) AS paid_at, min(shipped_at) AS shipped_at, min(delivered_at) AS delivered_at,
        min(cancelled_at) AS cancelled_at
    FROM events GROUP BY order_id
), projected AS (
    INSERT INTO order_summary AS known (
        order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version, projected_at,
        changed_in, history, currency, items, carrier, tracking_number, cancel_reason, paid_at, shipped_at,
        delivered_at, cancelled_at
    )
    SELECT order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version, now(),
        pg_current_xact_id()::text::bigint, (SELECT current_history()), currency, items, carrier, tracking_number,
        cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at
    FROM states JOIN facts USING (order_id)
    ORDER BY order_id
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
)
SELECT max(id) AS start FROM claimed \gset
