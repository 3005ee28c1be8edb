-- poll_endpoints
-- Which endpoints there are, in which revision, and whether something is due at them.
SELECT id, revision, state = 'active' AND hold_until <= now() AND (
    -- LIMIT 1 keeps this a search in the index, whatever the statistics say.
    SELECT true
    FROM deliveries
    WHERE endpoint = webhook_endpoints.id AND next_attempt_at <= now()
    ORDER BY next_attempt_at, position
    LIMIT 1
) IS NOT NULL
FROM webhook_endpoints
ORDER BY id
