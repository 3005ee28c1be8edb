-- save_batch
-- Stores any number of orders, each with its event. Returns the ids of the stored orders. Row locks last until the
-- commit.
WITH input AS (
    SELECT *
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS t (
        order_id, customer_id, items, total_cents, status, version, placed_at, updated_at, kind, payload, attempt_id
    )
),
-- New orders. An order whose id is taken is left out. If another transaction is inserting the same id, this waits for
-- it; the input is sorted by id, so two batches cannot deadlock.
placed AS (
    INSERT INTO orders (
        order_id, customer_id, items, total_cents, status, version, placed_at, updated_at, write_attempts
    )
    SELECT order_id, customer_id, items::jsonb, total_cents, status, version, placed_at, updated_at, ARRAY[attempt_id]
    FROM input
    WHERE version = 1
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
),
step AS (
    SELECT order_id, status, version, updated_at, attempt_id
    FROM input
    WHERE version > 1
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
    INSERT INTO outbox (kind, payload)
    SELECT kind, payload::json
    FROM input
    WHERE (order_id IN (SELECT order_id FROM saved)) IS TRUE
)
SELECT order_id FROM saved
