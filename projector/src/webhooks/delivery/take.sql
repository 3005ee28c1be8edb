-- take
-- Leases deliveries that are due, the longest due first, up to a number of them and of payload bytes. The endpoint must
-- be locked.
WITH input AS MATERIALIZED (
    SELECT
        $1::bigint AS endpoint,
        -- Below the floor there are only dead rows. If the clock was set back, it is too high.
        least($2::timestamptz, now() - interval '10 seconds') AS floor,
        $3::boolean AS is_untried_only,
        $4::bigint AS in_flight_max,
        $5::bigint AS wanted,
        $6::bigint AS max_bytes,
        -- Not `now()`: the transaction may have begun long ago.
        statement_timestamp() + $7 * interval '1 millisecond' AS leased_until
),
leased AS MATERIALIZED (
    -- All processes together. A lease whose end has passed no longer counts, nor one that is longer than any is: then
    -- the clock was ahead. The order keeps this a search in the index, whatever the statistics say.
    SELECT count(*) AS number
    FROM (
        SELECT leased_until
        FROM deliveries
        WHERE endpoint = (SELECT endpoint FROM input)
            AND next_attempt_at > now()
            AND next_attempt_at <= now() + interval '70 seconds'
        ORDER BY next_attempt_at, position
        OFFSET 0
    ) AS soon
    WHERE leased_until > now()
),
measured AS MATERIALIZED (
    -- Each payload that is wanted is measured once, and no other is read.
    SELECT ctid AS row_ctid, octet_length(payload::text) AS bytes
    FROM deliveries AS due
    WHERE endpoint = (SELECT endpoint FROM input)
        AND next_attempt_at >= (SELECT floor FROM input)
        AND next_attempt_at <= now()
        AND (failures = 0 OR NOT (SELECT is_untried_only FROM input))
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
)
UPDATE deliveries
SET leased_until = (SELECT leased_until FROM input),
    next_attempt_at = (SELECT leased_until FROM input),
    fence = fence + 1
-- By ctid: a locked row cannot move.
WHERE ctid = ANY(ARRAY(
    SELECT row_ctid
    FROM (SELECT *, sum(bytes) OVER (ROWS UNBOUNDED PRECEDING) AS bytes_so_far FROM measured) AS sized
    -- The first one is taken even if it is larger than the limit.
    WHERE bytes_so_far <= (SELECT max_bytes FROM input) OR bytes_so_far = bytes
)::tid[])
RETURNING position, event_id, kind, payload::text, occurred_at, failures,
    first_failed_at, fence, traceparent
