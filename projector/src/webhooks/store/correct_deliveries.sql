-- correct_deliveries
-- Makes deliveries of an endpoint due that wait, or are leased, for longer than any is: the clock was ahead.
WITH input AS MATERIALIZED (
    SELECT
        $1::bigint AS endpoint,
        now() + $2 * interval '1 millisecond' AS latest,
        now() + $3 * interval '1 millisecond' AS latest_lease
)
UPDATE deliveries
SET next_attempt_at = now(), leased_until = NULL
-- By ctid: a locked row cannot move. It waits for nobody, so it cannot deadlock.
WHERE ctid = ANY(ARRAY(
    SELECT ctid
    FROM deliveries AS ahead
    WHERE endpoint = (SELECT endpoint FROM input)
        -- What is due and what is done is not read. While a delivery is leased, this is when the lease ends.
        AND next_attempt_at > (SELECT least(latest, latest_lease) FROM input)
        AND (
            next_attempt_at > (SELECT latest FROM input)
            OR leased_until > (SELECT latest_lease FROM input)
            -- One that was never tried waits only for an earlier one of its order that was refused.
            OR (
                failures = 0
                AND leased_until IS NULL
                AND (
                    SELECT earlier.failures
                    FROM deliveries AS earlier
                    WHERE earlier.endpoint = ahead.endpoint
                        AND earlier.order_id = ahead.order_id
                        AND earlier.position < ahead.position
                    ORDER BY earlier.position
                    LIMIT 1
                ) > 0 IS NOT TRUE
            )
        )
    -- The order keeps this a search in the index, whatever the statistics say.
    ORDER BY next_attempt_at, position
    FOR UPDATE SKIP LOCKED
)::tid[])
