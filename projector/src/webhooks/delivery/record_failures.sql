-- record_failures
-- Counts failures since the last success. Pauses the endpoint if it is gone, or if nothing has succeeded for too long.
-- Returns the endpoint's state.
UPDATE webhook_endpoints
SET failures = known.failures,
    failing_since = CASE WHEN known.failures > 0 THEN least(webhook_endpoints.failing_since, now()) END,
    hold_until = greatest(hold_until, now() + $1 * interval '1 millisecond'),
    state = CASE WHEN known.reason IS NULL THEN state ELSE 'paused' END,
    paused_reason = coalesce(paused_reason, known.reason),
    revision = revision + CASE WHEN state = 'active' AND known.reason IS NOT NULL THEN 1 ELSE 0 END
FROM (
    SELECT
        id AS endpoint,
        least(failures::bigint + $2, 2147483647)::integer AS failures,
        CASE
            WHEN $3 THEN 'gone'
            WHEN failing_since <= now() - $4 * interval '1 millisecond' THEN 'nothing_succeeded'
        END AS reason
    FROM webhook_endpoints
    WHERE id = $5
    FOR NO KEY UPDATE
) AS known
WHERE id = known.endpoint
RETURNING state
