-- claim_logged_due
-- Locks parked events of a subscription that are due and that no other transaction has locked.
SELECT id, kind, payload::text, recorded_at, attempts
FROM (
    SELECT *, sum(bytes) OVER (ROWS UNBOUNDED PRECEDING) AS bytes_so_far
    FROM (
        -- Measures only the rows that were locked here. OFFSET 0 is an optimization fence: without it the payload is
        -- measured once for each use of `bytes`.
        SELECT *, octet_length(payload::text) AS bytes
        FROM (
            SELECT id, kind, payload, recorded_at, attempts
            FROM subscription_parked
            WHERE subscription = $1 AND next_attempt_at <= now()
            ORDER BY next_attempt_at, id
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        ) AS locked
        OFFSET 0
    ) AS measured
) AS sized
-- The first event is claimed even if it is larger than the limit.
WHERE bytes_so_far <= $3 OR bytes_so_far = bytes
