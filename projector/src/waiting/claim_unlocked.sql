-- claim_unlocked
-- Locks waiting events of a window, and their orders' rows, if no other session has locked these rows.
SELECT id, kind, payload::text, created_at, statement_timestamp(), traceparent
FROM (
    SELECT *, sum(bytes) OVER (ROWS UNBOUNDED PRECEDING) AS bytes_so_far
    FROM (
        -- Measures only the rows that were locked here. OFFSET 0 is an optimization fence: without it the payload is
        -- measured once for each use of `bytes`.
        SELECT *, octet_length(payload::text) AS bytes
        FROM (
            SELECT w.id, w.kind, w.payload, w.created_at, w.traceparent
            FROM waiting_events AS w
            -- BETWEEN with ORDER BY can use only the primary key, even in a plan that was made while the table was
            -- empty.
            CROSS JOIN LATERAL (
                SELECT 1
                FROM order_summary AS o
                WHERE o.order_id BETWEEN w.order_id AND w.order_id
                ORDER BY o.order_id
                LIMIT 1
                FOR NO KEY UPDATE SKIP LOCKED
            ) AS unlocked
            WHERE w.id > $1 AND w.id <= $2
            ORDER BY w.id
            LIMIT $3
            FOR UPDATE OF w SKIP LOCKED
        ) AS locked
        OFFSET 0
    ) AS measured
) AS sized
-- The first event is claimed even if it is larger than the limit.
WHERE bytes_so_far <= $4 OR bytes_so_far = bytes
