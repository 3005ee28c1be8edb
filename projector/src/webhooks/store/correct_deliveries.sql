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
        AND (
            next_attempt_at > (SELECT latest FROM input)
            OR leased_until > (SELECT latest_lease FROM input)
        )
    FOR UPDATE SKIP LOCKED
)::tid[])
