-- claim_logged_due
-- Locks parked events of a subscription that are due and that no other transaction has locked.
WITH input AS MATERIALIZED (
    SELECT
        $1::text AS subscription,
        $2::bigint AS max_events,
        $3::bigint AS max_bytes,
        now() + $4 * interval '1 millisecond' AS latest
)
SELECT id, kind, payload::text, recorded_at, attempts, traceparent
FROM (
    SELECT *, sum(bytes) OVER (ROWS UNBOUNDED PRECEDING) AS bytes_so_far
    FROM (
        -- Measures only the rows that were locked here. OFFSET 0 is an optimization fence: without it the payload is
        -- measured once for each use of `bytes`.
        SELECT *, octet_length(payload::text) AS bytes
        FROM (
            SELECT * FROM (
                SELECT id, kind, payload, recorded_at, attempts, traceparent
                FROM subscription_parked
                WHERE subscription = (SELECT subscription FROM input) AND next_attempt_at <= now()
                ORDER BY next_attempt_at, id
                LIMIT (SELECT max_events FROM input)
                FOR UPDATE SKIP LOCKED
            ) AS due
            UNION ALL
            -- No pause lasts that long: the clock was ahead. Two searches in the index, as OR would read all between.
            SELECT * FROM (
                SELECT id, kind, payload, recorded_at, attempts, traceparent
                FROM subscription_parked
                WHERE subscription = (SELECT subscription FROM input) AND next_attempt_at > (SELECT latest FROM input)
                ORDER BY next_attempt_at, id
                LIMIT (SELECT max_events FROM input)
                FOR UPDATE SKIP LOCKED
            ) AS ahead
            LIMIT (SELECT max_events FROM input)
        ) AS locked
        OFFSET 0
    ) AS measured
) AS sized
-- The first event is claimed even if it is larger than the limit.
WHERE bytes_so_far <= (SELECT max_bytes FROM input) OR bytes_so_far = bytes
