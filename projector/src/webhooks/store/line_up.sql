-- line_up
-- Has due deliveries of an endpoint wait for the earlier one of their order that was refused. Nearly all do already:
-- these were added while that one was being refused.
UPDATE deliveries
SET next_attempt_at = missed.next_attempt_at
FROM (
    SELECT delivery.ctid, earlier.next_attempt_at
    FROM (
        SELECT endpoint, order_id, position, event_id
        FROM deliveries
        WHERE endpoint = $1
            AND next_attempt_at >= least($2, now() - interval '10 seconds')
            AND next_attempt_at <= now()
            AND leased_until IS NULL
        ORDER BY next_attempt_at, position
        -- There are not many more.
        LIMIT 2000
    ) AS due
    CROSS JOIN LATERAL (
        SELECT leased_until, next_attempt_at
        FROM deliveries AS known
        WHERE known.endpoint = due.endpoint AND known.order_id = due.order_id AND known.position < due.position
        ORDER BY known.position
        LIMIT 1
    ) AS earlier
    CROSS JOIN LATERAL (
        SELECT known.ctid
        FROM deliveries AS known
        WHERE known.endpoint = due.endpoint
            AND known.position BETWEEN due.position AND due.position
            AND known.event_id = due.event_id
            AND known.leased_until IS NULL
            AND earlier.leased_until IS NULL
            AND earlier.next_attempt_at > now()
        ORDER BY known.position
        FOR UPDATE SKIP LOCKED
    ) AS delivery
) AS missed
WHERE deliveries.ctid = missed.ctid
