-- resume_endpoint
-- Everything that waits is due now, and gets its full time again. Returns whether there is such an endpoint.
WITH endpoint AS (
    UPDATE webhook_endpoints
    SET state = 'active', paused_reason = NULL, revision = revision + 1,
        failures = 0, failing_since = NULL, hold_until = '-infinity', asked_until = '-infinity'
    WHERE id = $1
    RETURNING id
),
waiting AS (
    UPDATE deliveries
    SET failures = 0, first_failed_at = NULL, next_attempt_at = least(next_attempt_at, now())
    FROM endpoint
    -- A leased delivery is in flight: its result counts. A lease whose end has passed is that of a dead process.
    WHERE deliveries.endpoint = endpoint.id
        AND (leased_until IS NULL OR leased_until <= now())
        AND (deliveries.failures > 0 OR next_attempt_at > now())
)
SELECT id FROM endpoint
