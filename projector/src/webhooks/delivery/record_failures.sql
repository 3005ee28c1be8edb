-- record_failures
-- Counts failures since the last success: if some are recorded already, or these are worth it. Holds the endpoint for
-- as long as it asks, and if many failed in a row, for a thirtieth of the time since the first one was recorded, plus
-- jitter. Pauses it if it is gone, or if nothing has succeeded for too long. A clock that jumps ahead makes any time
-- long, and a busy endpoint fails often in a moment: so this process must also have seen it for a while. Returns the
-- reason if it is paused, if it recorded something.
WITH input AS MATERIALIZED (
    SELECT
        $1::bigint AS endpoint,
        $2::integer AS more,
        $3::boolean AS is_recorded,
        now() + $4 * interval '1 millisecond' AS asked_until,
        $5::integer AS failures_until_probes,
        $6 * interval '1 millisecond' AS probe_max,
        $7::boolean AS is_gone,
        -- NULL: this process has not seen it for long enough.
        now() - $8 * interval '1 millisecond' AS give_up_before,
        $9::integer AS give_up_failures,
        $10::timestamptz AS known_success,
        $11::float8 AS jitter
)
UPDATE webhook_endpoints
SET failures = known.failures,
    failing_since = CASE WHEN known.failures > 0 THEN known.failing_since END,
    asked_until = greatest(webhook_endpoints.asked_until, known.asked_until),
    hold_until = greatest(hold_until, known.asked_until, known.next_probe_at),
    state = CASE WHEN known.reason IS NULL THEN state ELSE 'paused' END,
    paused_reason = coalesce(paused_reason, known.reason),
    revision = revision + CASE WHEN state = 'active' AND known.reason IS NOT NULL THEN 1 ELSE 0 END
FROM (
    SELECT
        input.*,
        locked.failures,
        locked.failing_since,
        locked.next_probe_at,
        CASE
            WHEN is_gone THEN 'gone'
            WHEN locked.failing_since <= give_up_before AND locked.failures >= give_up_failures
                THEN 'nothing_succeeded'
        END AS reason
    FROM input
    CROSS JOIN LATERAL (
        -- If another process has had a success since that one, they are of no account.
        SELECT CASE WHEN (
            SELECT true
            FROM webhook_attempts
            WHERE endpoint = input.endpoint AND error IS NULL
                AND attempted_at > coalesce(known_success, '-infinity') AND attempted_at <= now()
            -- Only one index has this order, whatever the statistics say.
            ORDER BY attempted_at DESC
            LIMIT 1
        ) THEN 0 ELSE input.more END AS more
        OFFSET 0
    ) AS counted
    CROSS JOIN LATERAL (
        SELECT
            least(failures::bigint + counted.more, 2147483647)::integer AS failures,
            -- Not since the process's own first failure: another process may have had a success since. A time in the
            -- future was recorded while the clock was ahead.
            least(failing_since, now()) AS failing_since,
            CASE WHEN failures::bigint + counted.more >= input.failures_until_probes THEN
                now() + least(
                    input.probe_max,
                    -- From the start, not more often than about thirty times a second.
                    greatest(now() - failing_since, interval '1 second') / 30
                ) * (1 + input.jitter)
            END AS next_probe_at
        FROM webhook_endpoints
        WHERE id = input.endpoint
            AND (failures > 0 OR input.is_recorded)
            AND (counted.more > 0 OR input.is_gone OR input.asked_until IS NOT NULL)
        FOR NO KEY UPDATE
    ) AS locked
) AS known
WHERE id = known.endpoint
RETURNING paused_reason
