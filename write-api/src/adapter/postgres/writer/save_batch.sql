-- save_batch
-- Stores any number of orders, each with its event, and returns the ids of the orders that it stored. Row locks last until
-- the commit.
WITH input AS (
    SELECT *
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS t (
        order_id, customer_id, items, total_cents, status, version, placed_at, updated_at, kind, payload, attempt
    )
),
-- New orders. An order whose id is taken is left out. An insert of the same id that is in flight elsewhere is waited for;
-- the input is sorted by id, so two batches cannot wait for each other.
placed AS (
    INSERT INTO orders (
        order_id, customer_id, items, total_cents, status, version, placed_at, updated_at, write_attempts
    )
    SELECT order_id, customer_id, items::jsonb, total_cents, status, version, placed_at, updated_at, ARRAY[attempt]
    FROM input
    WHERE version = 1
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
),
step AS (
    SELECT order_id, status, version, updated_at, attempt
    FROM input
    WHERE version > 1
),
-- Locks the rows that still have the version that the change was computed from. A row that another session has locked is
-- skipped, not waited for: it must not hold up its neighbours. A LATERAL subquery that locks is never turned into a join,
-- so no plan reads all of `orders`, not even one that was made while the table was empty.
free AS (
    SELECT step.*, found.ctid
    FROM step
    CROSS JOIN LATERAL (
        SELECT o.ctid
        FROM orders o
        WHERE o.order_id = step.order_id AND o.version = step.version - 1
        FOR UPDATE SKIP LOCKED
    ) AS found
),
-- By ctid: a locked row cannot move. A row that changed after the statement began is locked at its new ctid, which this
-- statement does not see, so it is left out too. A ctid belongs to one table: `orders` must not be partitioned.
changed AS (
    UPDATE orders o
    SET status = free.status,
        version = free.version,
        updated_at = free.updated_at,
        write_attempts = (free.attempt || o.write_attempts)[1:8]
    FROM free
    WHERE o.ctid = free.ctid
    RETURNING o.order_id
),
saved AS (
    SELECT order_id FROM placed
    UNION ALL
    SELECT order_id FROM changed
),
-- No order, no event. Reading `saved` makes the transaction get its xid before it allocates an outbox id; the projector's
-- low-water mark relies on that. IS TRUE keeps the planner from turning the hashed look-up into a join.
events AS (
    INSERT INTO outbox (kind, payload)
    SELECT kind, payload::json
    FROM input
    WHERE (order_id IN (SELECT order_id FROM saved)) IS TRUE
)
SELECT order_id FROM saved
