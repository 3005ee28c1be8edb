-- take
-- Leases deliveries that are due, the longest due first. The endpoint must be locked.
WITH input AS MATERIALIZED (
    SELECT $1::bigint AS endpoint, $2::bigint AS in_flight_max, $3::bigint AS wanted, $4::bigint AS lease_ms
),
leased AS MATERIALIZED (
    -- All processes together. A lease whose end has passed no longer counts.
    SELECT count(*) AS number
    FROM deliveries
    WHERE endpoint = (SELECT endpoint FROM input) AND next_attempt_at > now() AND leased_until > now()
)
UPDATE deliveries
SET leased_until = now() + (SELECT lease_ms FROM input) * interval '1 millisecond',
    next_attempt_at = now() + (SELECT lease_ms FROM input) * interval '1 millisecond',
    fence = fence + 1
-- By ctid: a locked row cannot move.
WHERE ctid = ANY(ARRAY(
    SELECT ctid
    FROM deliveries AS due
    WHERE endpoint = (SELECT endpoint FROM input)
        AND next_attempt_at <= now()
        -- In order for each order: an earlier delivery, whether it waits or is leased, holds back later ones.
        -- LIMIT 1 keeps this a search in the index, whatever the statistics say.
        AND (
            SELECT true
            FROM deliveries AS earlier
            WHERE earlier.endpoint = due.endpoint
                AND earlier.order_id = due.order_id
                AND earlier.position < due.position
            ORDER BY earlier.position
            LIMIT 1
        ) IS NULL
    ORDER BY next_attempt_at, position
    LIMIT (SELECT greatest(0, least(wanted, in_flight_max - number)) FROM input, leased)
    FOR UPDATE SKIP LOCKED
)::tid[])
RETURNING position, event_id, kind, payload::text, occurred_at, failures, fence
