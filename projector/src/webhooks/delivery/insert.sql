-- insert
-- Adds deliveries of each event to its endpoints. One that waits already, because the feeder was set back, stays as it
-- is. One whose order has an earlier delivery that was refused waits as long as that does: so what is due can nearly
-- always be sent.
WITH delivery AS MATERIALIZED (
    SELECT
        wanted.endpoint, t.position, t.order_id, event_id, kind, payload, occurred_at, recorded_at, traceparent,
        refused.next_attempt_at
    FROM unnest($1, $2::uuid[], $3, $4, $5, $6, $7, $8, $9)
        AS t (position, order_id, event_id, kind, payload, occurred_at, recorded_at, traceparent, endpoints)
    -- Not a join of two lists: its plan could compare each event with each endpoint.
    CROSS JOIN LATERAL unnest(endpoints::bigint[]) AS wanted (endpoint)
    LEFT JOIN LATERAL (
        -- One that is leased may yet be accepted.
        SELECT CASE WHEN leased_until IS NULL THEN next_attempt_at END AS next_attempt_at
        FROM deliveries AS earlier
        WHERE earlier.endpoint = wanted.endpoint AND earlier.order_id = t.order_id AND earlier.position < t.position
        ORDER BY earlier.position
        LIMIT 1
    ) AS refused ON true
)
INSERT INTO deliveries (
    endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at, traceparent, next_attempt_at
)
SELECT
    endpoint, position, order_id, event_id, kind, payload::json, occurred_at, recorded_at, traceparent,
    -- Not `now()`: the transaction may have begun long ago.
    greatest(statement_timestamp(), next_attempt_at)
FROM delivery
ON CONFLICT (endpoint, position, event_id) DO NOTHING
