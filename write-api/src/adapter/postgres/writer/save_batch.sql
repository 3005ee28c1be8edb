-- save_batch
-- Stores any number of orders, each with its event. Returns the ids of the stored orders. Row locks last until the
-- commit. New orders and steps have arrays of their own: unnesting a column costs time even where it is NULL.
WITH new_order AS (
    SELECT *
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS t (
        order_id, attempt_id, kind, payload, traceparent, customer_id, items, currency, total_cents, placed_at
    )
),
step AS (
    SELECT *
    FROM unnest($11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25) AS t (
        order_id, attempt_id, kind, payload, traceparent, version, status, updated_at,
        carrier, tracking_number, cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at
    )
),
-- An order whose id is taken is left out. If another transaction is inserting the same id, this waits for it; the input
-- is sorted by id, so two batches cannot deadlock.
placed AS (
    INSERT INTO orders (
        order_id, customer_id, items, currency, total_cents, status, version, placed_at, updated_at, write_attempts
    )
    SELECT
        order_id, customer_id, items::jsonb, currency, total_cents, 'placed', 1, placed_at, placed_at, ARRAY[attempt_id]
    FROM new_order
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
),
-- Locks the rows that still have the version that the change was computed from. Rows that another session has locked
-- are skipped: waiting for them would delay the rest of the batch. The planner never turns a LATERAL subquery that
-- locks rows into a join, so no plan scans all of `orders`, not even one that was made while the table was empty.
locked_here AS (
    SELECT step.*, found.ctid
    FROM step
    CROSS JOIN LATERAL (
        SELECT o.ctid
        FROM orders o
        WHERE o.order_id = step.order_id AND o.version = step.version - 1
        FOR UPDATE SKIP LOCKED
    ) AS found
),
-- Joins on ctid: nobody can update a locked row, so its ctid stays. If another transaction updated the row after this
-- statement's snapshot, the lock is on the new row version, which the statement cannot see: it does not update the row.
-- A ctid is unique within one table only: do not partition `orders`.
changed AS (
    UPDATE orders o
    SET status = locked_here.status,
        version = locked_here.version,
        updated_at = locked_here.updated_at,
        -- The aggregate was read with all facts of the version before, which can change only with the version.
        carrier = locked_here.carrier,
        tracking_number = locked_here.tracking_number,
        cancel_reason = locked_here.cancel_reason,
        paid_at = locked_here.paid_at,
        shipped_at = locked_here.shipped_at,
        delivered_at = locked_here.delivered_at,
        cancelled_at = locked_here.cancelled_at,
        write_attempts = (locked_here.attempt_id || o.write_attempts)[1:8]
    FROM locked_here
    WHERE o.ctid = locked_here.ctid
    RETURNING o.order_id
),
saved AS (
    SELECT order_id FROM placed
    UNION ALL
    SELECT order_id FROM changed
),
-- Only saved orders get an event. Reading `saved` makes the transaction get its xid before it allocates an outbox id;
-- the projector's low-water mark relies on that. IS TRUE keeps the planner from turning the hashed subplan into a join.
events AS (
    INSERT INTO outbox (kind, payload, traceparent)
    SELECT kind, payload::json, traceparent
    FROM (
        SELECT order_id, kind, payload, traceparent FROM new_order
        UNION ALL
        SELECT order_id, kind, payload, traceparent FROM step
    ) AS event
    WHERE (order_id IN (SELECT order_id FROM saved)) IS TRUE
)
SELECT order_id FROM saved
