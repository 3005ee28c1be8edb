-- postpone
-- Ends the leases of deliveries that failed. They are tried again later, and the later deliveries of their orders not
-- before them: so what is due can nearly always be sent. As in `remove_delivered`, by key.
WITH failed AS (
    UPDATE deliveries
    SET failures = failures + 1,
        -- The first failure may have been recorded while the clock was ahead.
        first_failed_at = least(first_failed_at, now()),
        next_attempt_at = leased.next_attempt_at,
        leased_until = NULL
    FROM (
        SELECT delivery.ctid, delivery.next_attempt_at
        FROM (SELECT $1::bigint AS endpoint) AS input
        CROSS JOIN unnest($2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[])
            AS t (position, event_id, fence, retry_ms)
        CROSS JOIN LATERAL (
            SELECT
                known.ctid,
                -- Not `now()`: the transaction may have begun long ago.
                statement_timestamp() + t.retry_ms * interval '1 millisecond' AS next_attempt_at
            FROM deliveries AS known
            WHERE known.endpoint = input.endpoint
                AND known.position BETWEEN t.position AND t.position
                AND known.event_id = t.event_id
                AND known.fence = t.fence
            ORDER BY known.position
            FOR UPDATE
        ) AS delivery
    ) AS leased
    WHERE deliveries.ctid = leased.ctid
    RETURNING endpoint, order_id, position, deliveries.next_attempt_at
)
UPDATE deliveries
SET next_attempt_at = CASE
        -- It may have been refused itself, before an earlier one was added again.
        WHEN failures > 0 THEN greatest(deliveries.next_attempt_at, later.next_attempt_at)
        ELSE later.next_attempt_at
    END
FROM (
    SELECT delivery.ctid, failed.next_attempt_at
    FROM failed
    CROSS JOIN LATERAL (
        SELECT known.ctid
        FROM deliveries AS known
        WHERE known.endpoint = failed.endpoint
            AND known.order_id = failed.order_id
            AND known.position > failed.position
            AND known.leased_until IS NULL
        ORDER BY known.position
        -- A row that is locked waits for the next time: waiting for it could be a deadlock.
        FOR UPDATE SKIP LOCKED
    ) AS delivery
) AS later
WHERE deliveries.ctid = later.ctid
